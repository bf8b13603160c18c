"""What differs between the databases that may keep the state."""

from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bizon.engine.backend.models import StreamKey


class Database:
    """A state database: its engine, its ``name`` in messages, and what its errors mean.

    Used by the backend and its transactions, from any thread. Nothing is connected before the first transaction.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def exists(self) -> bool:
        """False when connecting would make it."""
        return True

    def make_room(self) -> None:
        """Make what has to be there before the first connection. Raises BackendError."""

    def turn(self) -> AbstractContextManager[object]:
        """Within: this thread may use the database."""
        return nullcontext()

    def explain(self, error: SQLAlchemyError) -> str:
        """An error in one line, for a user."""
        return str(getattr(error, "orig", None) or error)

    def may_pass(self, error: SQLAlchemyError, *, reached: bool) -> bool:
        """True when the same transaction may succeed a little later, on another connection. ``reached``: the database
        has answered before, so that an error in connecting is no mistake in the configuration."""
        return False

    def prove_alive(self, key: StreamKey, owner: str) -> None:
        """Let the database know, from now on, that the holder of a lease lives. Repeated by each heartbeat."""

    def stop_proving(self, key: StreamKey, owner: str) -> None:
        """Take it back; harmless when there is nothing to take back."""

    def heartbeat_interval(self, ttl: float) -> float:
        """Seconds between two heartbeats of a lease of ``ttl`` seconds."""
        return ttl / 4

    def close(self) -> None:
        """Close all connections; idempotent."""
        self.engine.dispose()
