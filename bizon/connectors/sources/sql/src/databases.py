"""From the address of a database to its connections."""

from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from bizon.common.errors.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.connectors.sources.sql.src.flavour import Flavour

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite+pysqlite",
    "duckdb": "duckdb",
}
_KEY = ("source", "url")


class Database:
    """A database: how it differs from others, and two engines. None has a connection before it is used."""

    def __init__(self, flavour: "Flavour", url: URL) -> None:
        self.flavour = flavour
        self.url = url
        self.reading = _engine(flavour, url, reads=True)
        self.inspecting = _engine(flavour, url, reads=False)

    def close(self) -> None:
        """End all connections."""
        self.reading.dispose()
        self.inspecting.dispose()


def database_of(config: "SqlSourceConfig") -> Database:
    """The database of a configuration; nothing is contacted. Raises ConfigError for an address that cannot be right,
    MissingDependencyError when its driver is not installed."""
    url = _url(config)
    if config.extra is None:
        return Database(_flavour(config), url)
    try:
        return Database(_flavour(config), url)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            config.extra, f"source 'sql' with {config.scheme}:// (module {error.name})"
        ) from error


def _flavour(config: "SqlSourceConfig") -> "Flavour":
    """The only place that loads the driver of a database."""
    if config.extra == "postgres":
        from bizon.connectors.sources.sql.src.postgres import Postgres

        return Postgres(config)
    if config.extra == "mysql":
        from bizon.connectors.sources.sql.src.mysql import MySql

        return MySql(config)
    if config.extra == "duckdb":
        from bizon.connectors.sources.sql.src.duckdb import DuckDb

        return DuckDb(config)
    if config.scheme == "sqlite":
        from bizon.connectors.sources.sql.src.sqlite import Sqlite

        return Sqlite(config)
    from bizon.connectors.sources.sql.src.flavour import Flavour

    return Flavour(config)


def _url(config: "SqlSourceConfig") -> URL:
    try:
        url = make_url(str.__str__(config.url))
    except (ArgumentError, ValueError):
        raise ConfigError(
            "source.url cannot be read: it has the form kind://user:password@host:port/database, with special "
            "characters of user and password percent-encoded (@ is %40, / is %2F)",
            key=_KEY,
        ) from None
    rest = config.url.partition("://")[2].partition("@")[2]
    if url.password is not None and "@" in rest.partition("?")[0]:  # the rest of the password would be in errors
        raise ConfigError("source.url has more than one @: in user, password and names, @ is %40", key=_KEY)
    ours = _DRIVERS.get(config.scheme)
    if ours is None:
        return url
    if "+" in url.drivername and url.drivername != ours:
        raise ConfigError(f"source.url: bizon reads {config.scheme} as {ours}://, not as {url.drivername}://", key=_KEY)
    return url.set(drivername=ours)


def _engine(flavour: "Flavour", url: URL, *, reads: bool) -> "Engine":
    try:
        return flavour.engine(url, reads=reads)
    except NoSuchModuleError:
        raise ConfigError(
            f"source.url: SQLAlchemy knows no {url.drivername}://; install the package with its dialect", key=_KEY
        ) from None
    except ImportError as error:
        if flavour.config.extra is not None:
            raise
        raise ConfigError(f"source.url: the driver of {url.drivername}:// is missing: {error}", key=_KEY) from error
