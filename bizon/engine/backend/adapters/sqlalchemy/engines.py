"""Opens the database of each backend type; SQLite itself."""

import os
import sqlite3
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from shutil import disk_usage
from threading import RLock
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from bizon.common.errors.errors import BackendError, MissingDependencyError
from bizon.common.private_files import create_private_if_missing, make_private_folders
from bizon.common.waiting import back_off
from bizon.engine.backend.adapters.sqlalchemy.config import BigQueryConfigDetails, PostgresConfigDetails
from bizon.engine.backend.adapters.sqlalchemy.database import Database
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes

_BUSY_TIMEOUT = 30.0  # seconds a SQLite statement waits for another writer
_BETWEEN_SWITCHES = 0.01  # seconds
_SCARCE = 1_000_000  # bytes; SQLite asks for less at a time


def open_database(config: AbstractBackendConfigDetails, type: BackendTypes) -> Database:
    """The database of a backend config, not connected yet. Raises MissingDependencyError without its driver."""
    if type is BackendTypes.SQLITE_IN_MEMORY:
        return MemoryDatabase(config)
    if isinstance(config, PostgresConfigDetails):
        return _postgres(config)
    if isinstance(config, BigQueryConfigDetails):
        return _bigquery(config)
    return FileDatabase(config)


def _postgres(config: PostgresConfigDetails) -> Database:
    from bizon.engine.backend.adapters.sqlalchemy.postgres import PostgresDatabase  # most states are files

    return PostgresDatabase(config)


def _bigquery(config: BigQueryConfigDetails) -> Database:
    """The door behind which Google's packages are loaded."""
    try:
        import sqlalchemy_bigquery  # noqa: F401 - registers the dialect

        from bizon.engine.backend.adapters.sqlalchemy.bigquery import BigQueryDatabase
    except ModuleNotFoundError as error:
        raise MissingDependencyError("bigquery", f"backend type 'bigquery' (module {error.name})") from error
    return BigQueryDatabase(config)


def sqlite_path(config: AbstractBackendConfigDetails) -> Path:
    """The state file: ``<database>.sqlite3``, relative to the working directory."""
    return Path(f"{config.database}.sqlite3")


class SQLiteDatabase(Database):
    """SQLite: one thread of the process uses it at a time. A transaction that finds the file locked would sleep and
    look again, up to a tenth of a second each time; a lock of the process wakes the next thread at once."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name)
        self._one_at_a_time = RLock()

    def exclusive(self) -> AbstractContextManager[object]:
        return self._one_at_a_time


class MemoryDatabase(SQLiteDatabase):
    """SQLite in memory: one connection."""

    def __init__(self, config: AbstractBackendConfigDetails) -> None:
        engine = create_engine(
            "sqlite://",
            echo=config.echoEngine,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
        super().__init__(engine, "memory")


class FileDatabase(SQLiteDatabase):
    """SQLite in a file."""

    def __init__(self, config: AbstractBackendConfigDetails) -> None:
        self._path = sqlite_path(config)
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),  # in a URL as text, ? and % would have a meaning
            echo=config.echoEngine,
            poolclass=QueuePool,  # closing the last connection writes the log back; no commit should wait for that
            connect_args={"timeout": _BUSY_TIMEOUT, "check_same_thread": False},
        )
        event.listen(engine, "do_connect", self._connect_to_read)
        event.listen(engine, "connect", self._prepare)
        super().__init__(engine, f"'{self._path}'")

    def exists(self) -> bool:
        return self._path.exists()

    def _may_be_written(self) -> bool:
        """SQLite creates files next to a database with a write-ahead log, even to read it."""
        return not self._path.exists() or (os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK))

    def _connect_to_read(self, _dialect: Any, _record: Any, _arguments: Any, _keywords: Any) -> Any:
        """A connection that only reads, for ``bizon status`` by another user or on a copy; None where this user may
        write."""
        if self._may_be_written():
            return None
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        if not self._path.with_name(f"{self._path.name}-wal").exists():
            address += "&immutable=1"  # nobody writes, and no file can be created next to this one
        return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False)

    def _prepare(self, connection: Any, record: Any) -> None:
        if self._may_be_written():
            _use_write_ahead_log(connection, record)

    def make_room(self) -> None:
        """Create the file, and a folder for it, for this user alone: the state has paginations and errors."""
        try:
            make_private_folders(self._path.parent)
            create_private_if_missing(self._path)
        except OSError as error:
            raise BackendError(f"the state file '{self._path}' cannot be created: {error.strerror or error}") from error

    def explain(self, error: SQLAlchemyError) -> str:
        """The text of the database. SQLite reports a full disk as an I/O error when its shared index cannot grow."""
        cause = getattr(error, "orig", None) or error
        if getattr(cause, "sqlite_errorname", "").startswith("SQLITE_IOERR"):
            with suppress(OSError):
                if disk_usage(self._path.parent).free < _SCARCE:
                    return f"{cause}, the disk is full"
        return str(cause)


def _use_write_ahead_log(connection: Any, _record: Any) -> None:
    # A power cut may undo the last commits, but never tears one. When a cursor is undone, its batch is staged again,
    # and the next start drops what is staged beyond the last cursor.
    _switch_log(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _switch_log(connection: sqlite3.Connection) -> None:
    """SQLite lets this statement, unlike others, fail at once while another connection makes the same change."""
    for attempt in back_off(_BETWEEN_SWITCHES, _BETWEEN_SWITCHES, patience=_BUSY_TIMEOUT):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt.is_last:
                raise
