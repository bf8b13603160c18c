"""The state in Postgres: its connections, and the meaning of its errors."""

import re
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bizon.common.errors.errors import MissingDependencyError
from bizon.engine.backend.adapters.sqlalchemy.database import Database
from bizon.engine.backend.adapters.sqlalchemy.session_locks import SessionLocks, heartbeat_interval, lease_lock

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.config import PostgresConfigDetails
    from bizon.engine.backend.models import StreamKey

_CONNECT_TIMEOUT = 10  # seconds
_SILENCE = 30  # seconds without traffic before the client checks that the server is still there
_BOUNDS = (
    # the longest wait for rows that another session has locked
    "SELECT set_config('lock_timeout', '30s', true), "
    # a run that is frozen within a transaction must not keep its locks from the run that takes over
    "set_config('idle_in_transaction_session_timeout', '20s', true)"
)
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
_STARTING_OR_STOPPING = "the database system is "  # starting up, shutting down, in recovery mode


class PostgresDatabase(Database):
    """A schema of a Postgres database."""

    def __init__(self, config: "PostgresConfigDetails") -> None:
        self._config = config
        name = f"Postgres database '{config.database}', schema '{config.schema_name}', on {config.host}:{config.port}"
        super().__init__(_engine(config), name)
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

    def may_pass(self, error: SQLAlchemyError, *, reached: bool) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        if error.connection_invalidated or (state is not None and state.startswith(_PASSING)):
            return True
        no_connection = isinstance(error, OperationalError) and state is None
        return no_connection and (reached or _STARTING_OR_STOPPING in str(error.orig))

    def prove_alive(self, key: "StreamKey", owner: str) -> None:
        self._locks.hold(lease_lock(self._config.schema_name, key, owner))

    def stop_proving(self, key: "StreamKey", owner: str) -> None:
        self._locks.drop(lease_lock(self._config.schema_name, key, owner))

    def heartbeat_interval(self, ttl: float) -> float:
        return heartbeat_interval(ttl)

    def close(self) -> None:
        self._locks.close()
        super().close()


def _engine(config: "PostgresConfigDetails") -> Engine:
    """Connections are made from parts, so a password may have any character. Nothing depends on settings of a session:
    each statement or transaction brings its own, so that a pooler may stand in between."""
    url = URL.create(
        "postgresql+psycopg",
        username=config.username,
        password=str(config.password) or None,
        host=config.host,
        port=config.port,
        database=config.database,
    )
    arguments = {
        "application_name": "bizon",
        "connect_timeout": _CONNECT_TIMEOUT,
        "keepalives": 1,
        "keepalives_idle": _SILENCE,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": _SILENCE * 1000,
        "prepare_threshold": None,  # a pooler gives each transaction another session
    }
    if config.sslmode is not None:
        arguments["sslmode"] = config.sslmode
    try:
        engine = create_engine(
            url,
            echo=config.echoEngine,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_use_lifo=True,
            connect_args=arguments,
            execution_options={"schema_translate_map": {None: config.schema_name}},
        )
    except ImportError as error:
        raise MissingDependencyError("postgres", "backend type 'postgres'") from error
    event.listen(engine, "begin", _bound_waits)
    return engine


def _bound_waits(connection: Connection) -> None:
    connection.exec_driver_sql(_BOUNDS)
