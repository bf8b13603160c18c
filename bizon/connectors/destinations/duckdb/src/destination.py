"""Typed tables in a DuckDB file, exactly once in every sync mode."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import DestinationConnectionError, TableRefusedError
from bizon.connectors.destinations.duckdb.src import connection
from bizon.connectors.destinations.duckdb.src.presence import FilePresence
from bizon.connectors.destinations.duckdb.src.reading import DuckdbReader, reading
from bizon.destination.columns import frame_type
from bizon.destination.merging import duckdb_merge, merge_of, run, unusable
from bizon.destination.sql_target import Dialect, Transaction
from bizon.destination.type_names import TypeNames
from bizon.destination.typed_table import TypedTableDestination

if TYPE_CHECKING:
    from bizon.connectors.destinations.duckdb.src.config import DuckdbDetailsConfig
    from bizon.destination.column_types import ColumnType
    from bizon.destination.merge_rule import MergeInto, MergeRule

_TYPES = TypeNames(
    boolean="BOOLEAN",
    int64="BIGINT",
    float64="DOUBLE",
    timestamp="TIMESTAMP WITH TIME ZONE",
    date="DATE",
    time="TIME",
    text="VARCHAR",
    json="JSON",
    bytes="BLOB",
    decimal="DECIMAL({},{})",
)
_USUAL_SCHEMA = "main"
_HERE = f"database_name = current_database() AND {connection.is_named('schema_name', 'current_schema()')}"
_OF_TABLE = f"{_HERE} AND {connection.is_named('table_name')}"
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
"""The words of the operating system for a full disk."""
_DEPENDS = (
    f"SELECT 1 FROM duckdb_views() WHERE {_HERE} AND NOT internal",
    f"SELECT 1 FROM duckdb_indexes() WHERE {_OF_TABLE}",
    f"SELECT 1 FROM duckdb_constraints() WHERE {_HERE} AND ({connection.is_named('table_name')} "
    "OR constraint_type = 'FOREIGN KEY')",
    f"SELECT 1 FROM duckdb_tables() WHERE {_OF_TABLE} AND comment IS NOT NULL",
    f"SELECT 1 FROM duckdb_columns() WHERE {_OF_TABLE} AND (comment IS NOT NULL OR column_default IS NOT NULL)",
)
"""Queries that find what depends on a table, or would be lost with it."""


class DuckdbDestination(TypedTableDestination):
    """Tables of a DuckDB file. The file is open only during a step: while the run is prepared, a batch is written, rows
    are verified or published. In between other processes may open it."""

    config: "DuckdbDetailsConfig"
    driver = connection
    dialect = Dialect(key="VARCHAR", longest_name=None)
    types = _TYPES

    @property
    def place(self) -> str:
        """The path of the file, and the schema unless it is the usual one."""
        schema = self.config.schema_name
        return os.path.abspath(self.config.database) + (f", schema {schema}" if schema != _USUAL_SCHEMA else "")

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the file cannot be opened or created, or bizon did not create the
        table."""
        if not self.only_looks:
            return super().check_connection()
        try:
            connection.look(self.config.database, self.config.lock_timeout)
        except connection.Error as error:
            raise DestinationConnectionError(f"{self.place}: {self.text_of(error)}") from error
        return True

    def reading(self) -> AbstractContextManager[DuckdbReader]:
        """Within: the file is open, read-only."""
        return reading(self.config, self.default_destination_id, self.place)

    def connect(self) -> connection.Connection:
        """Open the file."""
        return connection.connect(self.config.database, self.config.schema_name, self.config.lock_timeout)

    @cached_property
    def presence(self) -> FilePresence:
        """A lock file next to the database."""
        return FilePresence(self.config.database, self.config.schema_name, self.default_destination_id)

    def close(self) -> None:
        """Close the file, and release the lock."""
        super().close()
        self.presence.close()

    def is_transient(self, error: Exception) -> bool:
        """A disk that is full needs somebody to make room."""
        return super().is_transient(error) and not any(text in str(error) for text in _FULL)

    def columns_of(self, within: Transaction, table: str) -> "Mapping[str, ColumnType | None]":
        """The columns of a table; DuckDB ignores case in names."""
        query = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {_OF_TABLE} ORDER BY column_index"
        return {name: self.types.column(kind) for name, kind in within.rows(query, table)}

    @property
    def merge_into(self) -> "MergeInto":
        """Delete and insert, in the transaction of the merge."""
        return self._merge_rows

    def load(self, within: Transaction, table: str, frame: pl.DataFrame) -> None:
        """Insert the rows of a frame from its memory."""
        names = {f"c{number}": name for number, name in enumerate(frame.columns)}
        columns = ", ".join(f"{{{key}}}" for key in names)
        insert = f"INSERT INTO {{table}} ({columns}) SELECT {columns} FROM {connection.FRAME}"
        within.cursor.execute_with(frame, within.spelled(insert, table=table, **names))

    def read(
        self, within: Transaction, table: str, columns: "Mapping[str, ColumnType]", where: Mapping[str, int]
    ) -> pl.DataFrame:
        """The rows of a table, as a frame that DuckDB fills."""
        names = {f"c{number}": name for number, name in enumerate(columns)}
        filters = {f"w{number}": name for number, name in enumerate(where)}
        listed, tests = ", ".join(f"{{{key}}}" for key in names), " AND ".join(f"{{{key}}} = ?" for key in filters)
        query = within.spelled(f"SELECT {listed} FROM {{table}} WHERE {tests}", table=table, **names, **filters)
        found: pl.DataFrame = within.cursor.frame(query, list(where.values()))
        return found.select(pl.col(name).cast(frame_type(column)) for name, column in columns.items())

    def swap(self, within: Transaction, staging: str, output: str) -> bool:
        """Rename both tables, unless the schema has views, or the output an index, a constraint, a default or a
        comment."""
        for query in _DEPENDS:
            if within.rows(f"{query} LIMIT 1", *[output] * query.count("?")):
                return False
        old = f"{staging}_old"
        within.run("ALTER TABLE {output} RENAME TO {old}", output=output, old=old)
        within.run("ALTER TABLE {staging} RENAME TO {output}", staging=staging, output=output)
        within.run("DROP TABLE {old}", old=old)
        return True

    def _merge_rows(
        self, within: Transaction, staging: str, output: str, columns: Sequence[str], rule: "MergeRule"
    ) -> None:
        there = self.columns_of(within, output)
        types = {name: kind for name, kind in there.items() if kind is not None}
        reason = unusable(types, rule.key, rule.version)
        if reason is not None:
            raise TableRefusedError(f"table '{output}' cannot be merged: {reason}")
        kept = [name for name in there if name not in columns]
        run(within, duckdb_merge(merge_of(staging, output, columns, rule, kept)))

    @contextmanager
    def _step(self) -> Iterator[None]:
        with connection.in_turn(self.config.database):
            try:
                yield
            finally:
                self.target.close()
