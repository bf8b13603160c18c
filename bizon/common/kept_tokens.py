"""Refresh tokens that outlive a run: an authenticator inside a source stores them in the state of the pipeline.

A worker sets the keeper with ``kept_by``; an authenticator that is created or used within finds it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class TokenKeeper(Protocol):
    """Stores texts by name, for all pipelines of one state. Called on the threads that fetch."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Within: no other process or thread uses the text of this name. Waits until that is so."""

    def read(self, name: str) -> str | None:
        """The text that was stored last, or None."""

    def write(self, name: str, value: str) -> None:
        """Store a text. Once this returns, the text survives the end of the process."""


_keeper: ContextVar[TokenKeeper | None] = ContextVar("keeper", default=None)


@contextmanager
def kept_by(keeper: TokenKeeper) -> Iterator[None]:
    """Within, on this thread: authenticators store their refresh tokens in ``keeper``."""
    token = _keeper.set(keeper)
    try:
        yield
    finally:
        _keeper.reset(token)


def token_keeper() -> TokenKeeper | None:
    """The keeper of this thread; None outside a run."""
    return _keeper.get()
