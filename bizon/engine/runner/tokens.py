"""Refresh tokens that rotate, kept in the state of the pipeline; see ``source/auth/authenticators/oauth.py``."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bizon.common.clock import monotonic
from bizon.common.errors.errors import BackendError, SourceConnectionError
from bizon.common.waiting import pause, stop_sign
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import StreamKey
from bizon.engine.runner.lease import is_dead, this_process

_LONGEST_TURN = 150.0  # seconds; after which one that has not ended is over, as that of a host that died
_PATIENCE = 240.0  # seconds that others may take their turns before
_LOOK_EVERY = 0.2  # seconds


class StateKeepsTokens:
    """A ``TokenKeeper``. Turns are leases: of several runs that share a state and a token one at a time uses it up. A
    turn of a process that was killed on the same host is over at once."""

    def __init__(self, backend: AbstractBackend) -> None:
        self._backend = backend

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """See the protocol. Raises SourceConnectionError when it takes too long, StoppedError when the run ends."""
        key, holder = StreamKey(f"refresh token {name}", "oauth", "turn"), this_process()
        until = monotonic() + _PATIENCE
        while (standing := self._backend.acquire_lease(key, holder, _LONGEST_TURN, is_dead)) is not None:
            if monotonic() >= until:
                raise SourceConnectionError(
                    f"process {standing.holder.pid} on host '{standing.holder.host}' renews the same refresh token and "
                    f"has not ended for {_PATIENCE:.0f} s; start the run again"
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
