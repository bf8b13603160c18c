"""The primitives of an engine that has typed tables, and the DDL that follows from them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import polars as pl

from bizon.destination.sql_layout import SqlTables

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType
    from bizon.destination.columns import Column
    from bizon.destination.merge_rule import MergeInto
    from bizon.destination.sql_target import Transaction


_WIDE = "_bizon_wide"


class TypedTables(SqlTables, Protocol):
    """An engine with columns of types, whose DDL is part of a transaction."""

    @property
    def staging_kind(self) -> str:
        """The words of CREATE for a staging table: ``TABLE``, or ``UNLOGGED TABLE``."""

    @property
    def merge_into(self) -> "MergeInto | None":
        """The merge of the engine; None when it has none."""

    def columns_of(self, within: "Transaction", table: str) -> "Mapping[str, ColumnType | None]":
        """The columns of a table, by name, in order, as the catalogue has them now; empty when there is no table. None
        for a column whose type is not in our vocabulary: it is left alone. A column may be listed with a type only if
        every value of that type fits; the type of a column that ``sql_type`` created is the same again. Nobody changes
        the columns until the transaction ends."""

    def sql_type(self, column: "ColumnType") -> str:
        """The type of a new column, as SQL."""

    def swap(self, within: "Transaction", staging: str, output: str) -> bool:
        """Put a staging table in the place of the output, which has the same columns, and drop the old table. False,
        and nothing done, when anything depends on the old table that would be lost: grants, indexes, comments, views,
        constraints. The rows are copied then."""

    def read(
        self, within: "Transaction", table: str, columns: "Mapping[str, ColumnType]", where: Mapping[str, int]
    ) -> pl.DataFrame:
        """The rows of a table whose columns have the values ``where``, in any order. The columns of the frame have the
        types of ``frame_type``, and their values exactly as they are stored."""


def create(
    within: "Transaction", tables: TypedTables, table: str, columns: "Mapping[str, ColumnType]", kind: str
) -> None:
    """Create a table."""
    names = {f"c{number}": name for number, name in enumerate(columns)}
    types = [tables.sql_type(column) for column in columns.values()]
    parts = ", ".join(f"{{{key}}} {sql}" for key, sql in zip(names, types, strict=True))
    within.run(f"CREATE {kind} {{table}} ({parts})", table=table, **names)


def apply(
    within: "Transaction", tables: TypedTables, table: str, add: "Sequence[Column]", widen: "Sequence[Column]"
) -> None:
    """Add and widen columns. Where the engine cannot change a type, a wider column takes the place of the old one, at
    the end of the table; an index or a view on the old one is an error of the engine."""
    for column in add:
        sql = tables.sql_type(column.type)
        within.run(f"ALTER TABLE {{table}} ADD COLUMN {{column}} {sql}", table=table, column=column.name)
    for column in widen:
        sql, names = tables.sql_type(column.type), {"table": table, "column": column.name}
        if tables.dialect.retypes:
            within.run(f"ALTER TABLE {{table}} ALTER COLUMN {{column}} TYPE {sql}", **names)
        else:
            _replace(within, sql, {**names, "wide": _WIDE})


def _replace(within: "Transaction", sql: str, names: Mapping[str, str]) -> None:
    within.run(f"ALTER TABLE {{table}} ADD COLUMN {{wide}} {sql}", **names)
    within.run(f"UPDATE {{table}} SET {{wide}} = CAST({{column}} AS {sql})", **names)
    within.run("ALTER TABLE {table} DROP COLUMN {column}", **names)
    within.run("ALTER TABLE {table} RENAME COLUMN {wide} TO {column}", **names)


def copy_rows(within: "Transaction", staging: str, output: str, columns: Sequence[str]) -> None:
    """Insert the rows of a staging table."""
    names = {f"c{number}": name for number, name in enumerate(columns)}
    listed = ", ".join(f"{{{key}}}" for key in names)
    within.run(
        f"INSERT INTO {{output}} ({listed}) SELECT {listed} FROM {{staging}}", output=output, staging=staging, **names
    )
