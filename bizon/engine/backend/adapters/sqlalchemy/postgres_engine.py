"""The connections to Postgres, whose waits have a bound."""

from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event

from bizon.common.errors.errors import MissingDependencyError

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.config import PostgresConfigDetails

_CONNECT_TIMEOUT = 10  # seconds
_SILENCE = 30  # seconds without traffic before the client checks that the server is still there
_BOUNDS = (
    # the longest wait for rows that another session has locked
    "SELECT set_config('lock_timeout', '30s', true), "
    # a run that is frozen within a transaction must not keep its locks from the run that takes over
    "set_config('idle_in_transaction_session_timeout', '20s', true)"
)


def postgres_engine(config: "PostgresConfigDetails") -> Engine:
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
            max_overflow=-1,  # one for each thread that needs one: the runs of several streams share the pool
            connect_args=arguments,
            execution_options={"schema_translate_map": {None: config.schema_name}},
        )
    except ImportError as error:
        raise MissingDependencyError("postgres", "backend type 'postgres'") from error
    event.listen(engine, "begin", _bound_waits)
    return engine


def _bound_waits(connection: Connection) -> None:
    connection.exec_driver_sql(_BOUNDS)
