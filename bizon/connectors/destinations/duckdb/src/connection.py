"""A DuckDB file as the kit for SQL tables uses it: DB-API 2.0, with transactions that begin by themselves. The module
stands in for the driver, whose cursors have transactions of their own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import duckdb
import polars as pl

from bizon.common.errors.errors import DestinationConnectionError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off

_LOCKED = "Could not set lock on file"
_LOOK_EVERY = 0.1  # seconds
paramstyle = "qmark"
Error = duckdb.Error
OperationalError = duckdb.OperationalError
InterfaceError = duckdb.ConnectionException


_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAME = "_bizon_frame"
"""The name under which a statement of ``execute_with`` sees its frame."""


class Cursor:
    """The cursor of a connection, whose transaction it shares."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute a statement."""
        self._raw.execute(statement, list(values))

    def execute_with(self, frame: pl.DataFrame, statement: str) -> None:
        """Execute a statement that reads the rows of a frame from its memory."""
        self._raw.register(FRAME, _Stream(frame))
        self._raw.execute(statement)
        self._raw.unregister(FRAME)  # not after an error: the transaction is over, and the connection will be closed

    def frame(self, query: str, values: Sequence[Any]) -> pl.DataFrame:
        """The answer to a query, in columns."""
        return pl.DataFrame(self._raw.sql(query, params=list(values)))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows of the last query."""
        return self._raw.fetchall()

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """The columns of the last query, by name first."""
        return self._raw.description

    def close(self) -> None:
        """The connection stays open."""


def is_named(column: str, name: str = "?") -> str:
    """The SQL condition that a name of the catalogue means the same as another, as DuckDB compares names: without
    regard to the case of ASCII letters. Its function ``lower`` takes two names for one that differ in an accent."""
    left, right = (f"translate({each}, '{_CAPITALS}', '{_CAPITALS.lower()}')" for each in (column, name))
    return f"{left} = {right}"


class _Stream:
    """A frame that shows its Arrow stream and nothing else: DuckDB would want pyarrow for a frame of Polars."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


class Connection:
    """A connection to an open file."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw

    def cursor(self) -> Cursor:
        """A cursor in a new transaction."""
        self._raw.begin()
        return Cursor(self._raw)

    def commit(self) -> None:
        """End the transaction, durably."""
        self._raw.commit()

    def rollback(self) -> None:
        """Give up the transaction. Raises the driver's error when there is none."""
        self._raw.rollback()

    def close(self) -> None:
        """Close the file, so that other processes may open it."""
        self._raw.close()


_turns: dict[str, RLock] = {}


@contextmanager
def in_turn(database: str) -> Iterator[None]:
    """Within: no other thread of this process works on the file. DuckDB lets the threads of one process have it open at
    the same time, but a transaction then fails when another has changed the catalogue since it began."""
    with _turns.setdefault(os.path.realpath(database), RLock()):
        yield


def look(database: str, lock_timeout: float) -> None:
    """Check that the file can be read and written, or created. Nothing is created, and nothing in the file changes.
    Raises DestinationConnectionError, and the driver's error for a file that is not a database."""
    found = Path(database)
    if found.exists():
        opened(database, lock_timeout, read_only=True).close()
    else:
        found = next(path for path in found.absolute().parents if path.exists())
    if not os.access(found, os.W_OK):
        raise DestinationConnectionError(f"{found} cannot be written by this user")


def connect(database: str, schema: str, lock_timeout: float) -> Connection:
    """Open the file, which is created if it is missing, and wait at most ``lock_timeout`` seconds while another process
    has it open. Raises DestinationConnectionError after that, and where no file can be created."""
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DestinationConnectionError(f"the folder of {database} cannot be created: {error.strerror}") from error
    raw = opened(database, lock_timeout)
    quoted = '"' + schema.replace('"', '""') + '"'
    try:
        raw.execute("SET TimeZone = 'UTC'")
        raw.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
        raw.execute(f"USE {quoted}")
    except duckdb.Error:
        raw.close()
        raise
    return Connection(raw)


def opened(database: str, lock_timeout: float, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """The open file. Waits as ``connect`` does, and raises what it raises."""
    for attempt in back_off(_LOOK_EVERY, _LOOK_EVERY, patience=lock_timeout):
        try:
            return duckdb.connect(database, read_only=read_only)
        except duckdb.IOException as error:
            text = str(error)
            if _LOCKED not in text:
                raise
            holder = text.partition("lock is held in ")[2].partition(". See also")[0] or "another process"
            if attempt.is_last:
                raise DestinationConnectionError(
                    f"{database} is open in {holder}, and DuckDB lets one process write a file while no other has it "
                    f"open; waited {lock_timeout:g} s. Close it there, or set `lock_timeout`, and "
                    f"{'try again' if read_only else 'run again: the run resumes'}"
                ) from error
            if attempt.number == 1:
                logger.info(f"{database} is open in {holder}; waiting at most {lock_timeout:g} s")
    raise AssertionError("back_off ends with its last attempt")
