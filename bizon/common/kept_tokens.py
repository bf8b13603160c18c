"""Refresh tokens that outlive a run: how an authenticator, deep in a source, reaches the state of the pipeline.

A worker names the keeper with ``kept_by``; an authenticator that is made or used within takes it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class TokenKeeper(Protocol):
    """Keeps texts by name, for all pipelines of one state. Called on the threads that fetch."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Within: no other process or thread uses the text of this name. Waits until that is so."""

    def read(self, name: str) -> str | None:
        """The text that was kept last, or None."""

    def write(self, name: str, value: str) -> None:
        """Keep a text. When this returns, it survives the end of the process."""


_keeper: ContextVar[TokenKeeper | None] = ContextVar("keeper", default=None)


@contextmanager
def kept_by(keeper: TokenKeeper) -> Iterator[None]:
    """Within, on this thread: authenticators keep their refresh tokens there."""
    token = _keeper.set(keeper)
    try:
        yield
    finally:
        _keeper.reset(token)


def token_keeper() -> TokenKeeper | None:
    """Where an authenticator keeps its refresh tokens; None outside a run."""
    return _keeper.get()
