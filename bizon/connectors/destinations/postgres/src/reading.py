"""A table of Postgres, read in a transaction that is read-only: the server refuses every statement that would write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import Identifier
from psycopg.types.string import TextLoader

from bizon.connectors.destinations.postgres.src.catalogue import find
from bizon.connectors.destinations.postgres.src.connection import BoundConnection, connect
from bizon.destination.readable import (
    Answer,
    Cell,
    Exact,
    Field,
    NoTableError,
    NotReadError,
    TableReader,
    as_query,
    cells,
    number,
)
from bizon.destination.sql_target import Transaction

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig

_COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_TYPES = """
SELECT pg_catalog.format_type(kind, size)
FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.oid[]), pg_catalog.unnest(%s::pg_catalog.int4[]))
    WITH ORDINALITY AS types (kind, size, place)
ORDER BY place
"""
_NUMBERS = frozenset({"int2", "int4", "int8", "oid", "numeric", "float4", "float8"})
_JSON = frozenset({"json", "jsonb"})


class PostgresReader(TableReader):
    """A table. Each answer comes from a transaction of its own, which ends with it."""

    def __init__(self, connection: BoundConnection, table: str, columns: Sequence[Field]) -> None:
        self.table = table
        self._connection = connection
        self._columns = columns

    def columns(self) -> Sequence[Field]:
        """As the catalogue has them."""
        return self._columns

    def count(self) -> int:
        """By a query."""
        return int(str(self.query(f"SELECT count(*) FROM {self._quoted}", 1).rows[0][0]))

    def rows(self, limit: int) -> Answer:
        """In the order of the table."""
        return self.query(f"SELECT * FROM {self._quoted}", limit)

    def query(self, sql: str, limit: int) -> Answer:
        """One query: it stands where only a query may stand, since COPY would write a file of the server even here. The
        cursor has run another before: after that, a transaction cannot be made writable."""
        try:
            with self._connection.cursor() as cursor:
                for info in cursor.adapters.types:
                    for kind in filter(None, (info.oid, info.array_oid)):
                        cursor.adapters.register_loader(kind, TextLoader)
                with closing(cursor.stream(as_query(sql))) as rows:
                    texts = list(islice(rows, limit))
                    found, result = cursor.description or (), cursor.pgresult
                types = [cursor.adapters.types.get(column.type_code) for column in found]
                sizes = [] if result is None else [result.fmod(place) for place in range(len(found))]
        except psycopg.errors.SyntaxError as error:
            text = str(error).partition("\n")[0]
            raise NotReadError(f"the SQL is not a query, or is more than one: {text}") from error
        finally:
            self._connection.rollback()
        read = [_reader("" if info is None else info.name) for info in types]
        kinds = self._named([column.type_code for column in found], sizes)
        fields = [Field(column.name, kind) for column, kind in zip(found, kinds, strict=True)]
        return Answer(fields, [cells(read, row) for row in texts])

    def _named(self, types: Sequence[int], sizes: Sequence[int]) -> list[str]:
        """The types as the server names them, also after a query that was broken off."""
        with self._connection.cursor() as cursor:
            found = [str(kind) for (kind,) in cursor.execute(_TYPES, (list(types), list(sizes)))]
        self._connection.rollback()
        return found

    @property
    def _quoted(self) -> str:
        return Identifier(self.table).as_string()


@contextmanager
def reading(config: "PostgresDetailsConfig", table: str, place: str) -> Iterator[PostgresReader]:
    """Within: the server is reached. Raises NoTableError, and the errors of the driver."""
    with closing(connect(config)) as connection:
        connection.read_only = True
        with connection.cursor() as cursor:
            within = Transaction(cursor, psycopg.paramstyle, '"')
            oid = find(within, config.schema_name, table)
            if oid is None:
                raise NoTableError(f"table '{table}' in {place}")
            columns = [Field(*row) for row in within.rows(_COLUMNS, oid)]
        connection.rollback()
        yield PostgresReader(connection, table, columns)


def _reader(name: str) -> Callable[[str], Cell]:
    if name == "bool":
        return "t".__eq__
    if name in _JSON:
        return Exact
    return number if name in _NUMBERS else str
