"""The differences between the databases that may keep the state."""

from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamKey


@dataclass(slots=True)
class Contact:
    """This process and a database. All backends on its connections share it."""

    was_made: bool = False
    """A transaction has succeeded, so a failed connection does not come from a wrong configuration."""
    was_given_up: bool = False
    """The last wait was in vain, and nothing has succeeded since: the next failure is not waited for again."""


class Database:
    """A state database: its engine, its ``name`` in messages, and the meaning of its errors.

    Used by the backend and its transactions, from any thread. Nothing is connected before the first transaction.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.contact = Contact()
        self._owns_engine = True

    def beside(self) -> Self:
        """The same database for another backend of this process. Both use the same connections and compiled statements.
        Each proves its own leases, and is closed by itself, this one last."""
        other = copy(self)
        other._owns_engine = False  # noqa: SLF001 - of the same class
        return other

    def exists(self) -> bool:
        """False when connecting would create it."""
        return True

    def make_room(self) -> None:
        """Create what the first connection needs. Raises BackendError."""

    def exclusive(self) -> AbstractContextManager[object]:
        """A context in which this thread may use the database."""
        return nullcontext()

    def explain(self, error: SQLAlchemyError) -> str:
        """An error in one line, for a user."""
        return str(getattr(error, "orig", None) or error)

    def may_pass(self, error: SQLAlchemyError) -> bool:
        """True when the same transaction may soon succeed on another connection."""
        return False

    def is_unheard(self, error: SQLAlchemyError) -> bool:
        """True when nothing listens at an address that has never answered: the server restarts, or the address is
        wrong. Asked for errors that may pass."""
        return False

    def prove_alive(self, key: "StreamKey", owner: str) -> None:
        """Prove to the database from now on that the holder of a lease is alive. Each heartbeat repeats it."""

    def stop_proving(self, key: "StreamKey", owner: str) -> None:
        """End the proof; harmless when there is none."""

    def heartbeat_interval(self, ttl: float) -> float:
        """Seconds between two heartbeats of a lease of ``ttl`` seconds."""
        return ttl / 4

    def close(self) -> None:
        """Close all connections, except those that are shared; idempotent."""
        if self._owns_engine:
            self.engine.dispose()
