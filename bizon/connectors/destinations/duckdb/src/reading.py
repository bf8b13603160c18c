"""A table of a DuckDB file, read. The file is opened read-only, and DuckDB itself refuses to write it or any other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from bizon.connectors.destinations.duckdb.src.connection import is_named, opened
from bizon.destination.readable import (
    Answer,
    Cell,
    Exact,
    Field,
    NoTableError,
    NotReadError,
    TableReader,
    cells,
    number,
)

if TYPE_CHECKING:
    from bizon.connectors.destinations.duckdb.src.config import DuckdbDetailsConfig

_COLUMNS = (
    "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
    f"AND {is_named('schema_name')} AND {is_named('table_name')} ORDER BY column_index"
)
_CLOSED = ("SET TimeZone = 'UTC'", "SET enable_external_access = false", "SET lock_configuration = true")
"""No file but the open one can be read or written from here on, and no statement changes that."""
_NUMBERS = (
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
)
_MORE_NUMBERS = ("UINTEGER", "UBIGINT", "UHUGEINT")


class DuckdbReader(TableReader):
    """A table of an open file."""

    def __init__(self, raw: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Field]) -> None:
        self.table = table
        self._raw = raw
        self._columns = columns

    def columns(self) -> Sequence[Field]:
        """As the catalogue has them."""
        return self._columns

    def count(self) -> int:
        """By a query."""
        return int(self._raw.execute(f"SELECT count(*) FROM {_quoted(self.table)}").fetchall()[0][0])

    def rows(self, limit: int) -> Answer:
        """In the order of the table."""
        return self.query(f"SELECT * FROM {_quoted(self.table)}", limit)

    def query(self, sql: str, limit: int) -> Answer:
        """DuckDB stops when it has the rows."""
        try:
            count = len(self._raw.extract_statements(sql))
            if count > 1:
                raise NotReadError(f"the SQL has {count} statements, and the answer to one is shown: write one")
            found = self._raw.sql(sql) if count else None
            if found is None:
                raise NotReadError("the SQL returns nothing to show")
            fields = [Field(name, str(kind)) for name, kind in zip(found.columns, found.types, strict=True)]
            texts = found.limit(limit).project("CAST(COLUMNS(*) AS VARCHAR)").fetchall()
        except duckdb.Error as error:
            raise NotReadError(f"DuckDB: {' '.join(str(error).split())}") from error
        read = [_reader(field.type) for field in fields]
        return Answer(fields, [cells(read, row) for row in texts])


@contextmanager
def reading(config: "DuckdbDetailsConfig", table: str, place: str) -> Iterator[DuckdbReader]:
    """Within: the file is open. Raises NoTableError, and DestinationConnectionError while another process writes."""
    if not Path(config.database).exists():
        raise NoTableError(place)
    try:
        raw = opened(config.database, config.lock_timeout, read_only=True)
    except duckdb.Error as error:
        raise NotReadError(f"{place}: {' '.join(str(error).split())}") from error
    with raw:
        columns = [Field(*row) for row in raw.execute(_COLUMNS, [config.schema_name, table]).fetchall()]
        if not columns:
            raise NoTableError(f"table '{table}' in {place}")
        for statement in (f"USE {_quoted(config.schema_name)}", *_CLOSED):
            raw.execute(statement)
        yield DuckdbReader(raw, table, columns)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reader(kind: str) -> Callable[[str], Cell]:
    if kind == "BOOLEAN":
        return "true".__eq__
    if kind == "JSON":
        return Exact
    return number if kind.partition("(")[0] in (*_NUMBERS, *_MORE_NUMBERS) else str
