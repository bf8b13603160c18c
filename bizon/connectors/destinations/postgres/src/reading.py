"""A table of Postgres, read in a transaction that is read-only: the server refuses every statement that would write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.string import TextLoader

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.postgres.src.catalogue import find
from bizon.connectors.destinations.postgres.src.connection import connect
from bizon.destination.readable import Answer, Cell, Exact, Field, NoTableError, TableReader, number
from bizon.destination.sql_target import Transaction

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig

_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_NUMBERS = frozenset({"int2", "int4", "int8", "oid", "numeric", "float4", "float8"})
_JSON = frozenset({"json", "jsonb"})


class PostgresReader(TableReader):
    """A table, in one transaction: everything is of the same moment."""

    def __init__(self, within: Transaction, table: str, columns: Sequence[Field]) -> None:
        self.table = table
        self._within = within
        self._columns = columns

    def columns(self) -> Sequence[Field]:
        """As the catalogue has them."""
        return self._columns

    def count(self) -> int:
        """By a query."""
        return int(self._within.rows("SELECT count(*) FROM {table}", table=self.table)[0][0])

    def rows(self, limit: int) -> Answer:
        """In the order of the table."""
        return self.query(self._within.spelled("SELECT * FROM {table}", table=self.table).replace("%%", "%"), limit)

    def query(self, sql: str, limit: int) -> Answer:
        """One statement; the server is told to stop when the rows are here."""
        cursor = self._within.cursor
        with closing(cursor.stream(sql)) as rows:
            texts = list(islice(rows, limit))
            found = cursor.description or ()
        if not found:
            raise DestinationError("the SQL returns nothing to show")
        read = [_reader(cursor.connection, column.type_code) for column in found]
        return Answer(
            [Field(column.name, column.type_display) for column in found], [_cells(read, row) for row in texts]
        )


@contextmanager
def reading(config: "PostgresDetailsConfig", table: str, place: str) -> Iterator[PostgresReader]:
    """Within: a transaction is open. Raises NoTableError, and the errors of the driver."""
    with closing(connect(config)) as connection:
        connection.read_only = True
        with connection.cursor() as cursor:
            within = Transaction(cursor, psycopg.paramstyle, '"')
            oid = find(within, config.schema_name, table)
            if oid is None:
                raise NoTableError(f"table '{table}' in {place}")
            columns = [Field(*row) for row in within.rows(_COLUMNS, oid)]
            for info in connection.adapters.types:
                for kind in filter(None, (info.oid, info.array_oid)):
                    cursor.adapters.register_loader(kind, TextLoader)
            yield PostgresReader(within, table, columns)


def _cells(read: Sequence[Callable[[str], Cell]], row: Sequence[Any]) -> list[Cell]:
    return [None if text is None else make(text) for make, text in zip(read, row, strict=True)]


def _reader(connection: "psycopg.Connection[Any]", oid: int) -> Callable[[str], Cell]:
    info = connection.adapters.types.get(oid)
    name = "" if info is None else info.name
    if name == "bool":
        return "t".__eq__
    if name in _JSON:
        return Exact
    return number if name in _NUMBERS else str
