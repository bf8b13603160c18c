"""Refresh tokens that rotate, kept in the state of the pipeline; see ``source/auth/authenticators/oauth.py``."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.errors.errors import BackendError, SourceConnectionError
from bizon.common.kept_tokens import kept_by
from bizon.common.waiting import pause, stop_sign
from bizon.engine.backend.models import StreamKey
from bizon.engine.patience import TOKEN_LEASE, TOKEN_WAIT
from bizon.engine.runner.lease import is_dead, this_process

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend

_LOOK_EVERY = 0.2  # seconds


def tokens_kept_in(backend: "AbstractBackend") -> AbstractContextManager[None]:
    """Within: a refresh token that its provider replaces is kept in this state."""
    return kept_by(StateTokenKeeper(backend))


class StateTokenKeeper:
    """The ``TokenKeeper`` of a run. Exclusive use is a lease, so runs that share a state and a token renew it one at a
    time. The lease of a process that was killed on the same host ends at once."""

    def __init__(self, backend: "AbstractBackend") -> None:
        self._backend = backend

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """See the protocol. Raises SourceConnectionError after ``TOKEN_WAIT`` seconds, StoppedError when the run
        ends."""
        key, holder = StreamKey(f"refresh token {name}", "oauth", "turn"), this_process()
        until = monotonic() + TOKEN_WAIT
        while (standing := self._backend.acquire_lease(key, holder, TOKEN_LEASE, is_dead)) is not None:
            if monotonic() >= until:
                raise SourceConnectionError(
                    f"process {standing.holder.pid} on host '{standing.holder.host}' is renewing the same refresh "
                    f"token and has not finished within {TOKEN_WAIT:.0f} s; start the run again"
                )
            pause(_LOOK_EVERY, stop_sign())
        try:
            yield
        finally:
            with suppress(BackendError):  # it expires by itself
                self._backend.release_lease(key, holder.owner)

    def read(self, name: str) -> str | None:
        """See the protocol."""
        return self._backend.get_kept_token(name)

    def write(self, name: str, value: str) -> None:
        """See the protocol."""
        self._backend.keep_token(name, value)
