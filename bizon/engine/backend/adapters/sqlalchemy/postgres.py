"""The state in Postgres: its connections, and the meaning of its errors."""

import re
from typing import TYPE_CHECKING, Self

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bizon.engine.backend.adapters.sqlalchemy.database import Database
from bizon.engine.backend.adapters.sqlalchemy.postgres_engine import postgres_engine
from bizon.engine.backend.adapters.sqlalchemy.session_locks import SessionLocks, heartbeat_interval, lease_lock

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.config import PostgresConfigDetails
    from bizon.engine.backend.models import StreamKey

_PASSING = (
    "08",  # the connection was lost
    "57P01",  # the server is shutting down
    "57P02",  # another session crashed
    "57P03",  # the server is starting up or shutting down
    "57P05",  # the session was idle for too long
    "25P03",  # the same, within a transaction
    "40001",  # serialization failure
    "40P01",  # deadlock
)
_MISSING_RIGHT = "42501"
_NO_DATABASE = re.compile(r'database ".*" does not exist')  # a failed connection has no SQLSTATE
_FULL = ("too many connections", "connection slots are reserved", "too many clients")
_REFUSED = "Connection refused"
_BROKEN = (  # while it was made
    "server closed the connection unexpectedly",
    "Connection reset by peer",
    "Broken pipe",
    "SSL SYSCALL error: EOF detected",
)
_ANSWER = "FATAL: "
_STARTING_OR_STOPPING = "the database system is "  # starting up, shutting down, in recovery mode


class PostgresDatabase(Database):
    """A schema of a Postgres database."""

    def __init__(self, config: "PostgresConfigDetails") -> None:
        self._config = config
        name = f"Postgres database '{config.database}', schema '{config.schema_name}', on {config.host}:{config.port}"
        super().__init__(postgres_engine(config), name)
        self._locks = SessionLocks(self.engine)

    def explain(self, error: SQLAlchemyError) -> str:
        """The text of the server or its driver on one line, with a remedy for the frequent causes."""
        cause = getattr(error, "orig", None) or error
        text = " ".join(str(cause).partition("\nLINE ")[0].split())
        if getattr(cause, "sqlstate", None) == _MISSING_RIGHT:
            config = self._config
            text += (
                f"; role '{config.username}' needs the rights USAGE and CREATE on schema '{config.schema_name}', or "
                f"CREATE on database '{config.database}' when the schema is missing, and all on the state tables"
            )
        elif _NO_DATABASE.search(text):
            text += "; create it, or name another one in engine.backend.config.database"
        elif any(sign in text for sign in _FULL):
            text += "; a run needs about five connections: raise the limit of the role, the database or the server"
        return text

    def may_pass(self, error: SQLAlchemyError) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        if error.connection_invalidated or (state is not None and state.startswith(_PASSING)):
            return True
        no_connection = isinstance(error, OperationalError) and state is None
        return no_connection and (self.contact.was_made or _may_pass_at_first(str(error.orig)))

    def is_unheard(self, error: SQLAlchemyError) -> bool:
        return not self.contact.was_made and _REFUSED in self.explain(error)

    def prove_alive(self, key: "StreamKey", owner: str) -> None:
        self._locks.hold(lease_lock(self._config.schema_name, key, owner))

    def stop_proving(self, key: "StreamKey", owner: str) -> None:
        self._locks.drop(lease_lock(self._config.schema_name, key, owner))

    def heartbeat_interval(self, ttl: float) -> float:
        return heartbeat_interval(ttl)

    def beside(self) -> Self:
        other = super().beside()
        other._locks = SessionLocks(self.engine)  # noqa: SLF001 - of the same class
        return other

    def close(self) -> None:
        self._locks.close()
        super().close()


def _may_pass_at_first(text: str) -> bool:
    """Whether a first connection that failed may succeed later. A host with several addresses gives several reasons;
    the answer of a server, such as a wrong password, outweighs the others."""
    if _ANSWER in text:
        return _STARTING_OR_STOPPING in text
    return any(sign in text for sign in (*_BROKEN, _REFUSED))
