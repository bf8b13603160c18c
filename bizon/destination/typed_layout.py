"""Rows with typed columns in the tables of a SQL destination: staged and published, or written in place."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, TableRefusedError
from bizon.destination.column_names import folded
from bizon.destination.column_types import ColumnType, holds
from bizon.destination.columns import Column
from bizon.destination.models import WriteMode
from bizon.destination.sql_layout import SqlStaging, SqlStagingTable, TableLayout, Write
from bizon.destination.system_columns import ID, PAGE, ROW, SYSTEM_COLUMNS
from bizon.destination.tombstones import Tombstones
from bizon.destination.typed_parts import TypedPart
from bizon.destination.typed_staging import TypedStaging
from bizon.destination.typed_tables import apply, copy_rows, create

if TYPE_CHECKING:
    from bizon.destination.commits import Commits
    from bizon.destination.merge_rule import MergeRule
    from bizon.destination.models import BatchRange
    from bizon.destination.sql_target import Transaction
    from bizon.destination.typed_config import Verify
    from bizon.destination.typed_rows import Rows, TypedRows
    from bizon.destination.typed_tables import TypedTables

_BATCH = "_bizon_batch"
"""The temporary table of a batch that is merged in place."""


class TypedColumns(TableLayout):
    """Tables with a column for each key of the records. DDL is part of the transaction that needs it, so a table is
    never seen with columns of a batch that it does not have."""

    def __init__(self, tables: "TypedTables", rows: "TypedRows", commits: "Commits", verifies: "Verify") -> None:
        self._tables = tables
        self._tombstones = Tombstones(tables, 0 if rows.keys is None else rows.keys.tombstone_days)
        self._rows = rows
        self._commits = commits
        self._verifies = verifies
        self._there: dict[str, Mapping[str, ColumnType | None]] = {}
        self.written: Rows | None = None
        """The rows of the last write in place."""

    def set_up(self, output: str, *, in_place: bool) -> None:
        """Create the table with the columns of bizon and the declared ones, or add those that it lacks."""
        with self._tables.target.transaction() as within:
            if in_place:
                self._commits.create(within, self._tables.dialect)
            there = self._tables.columns_of(within, output)
            ours = {**SYSTEM_COLUMNS, **self._rows.more_columns}
            if not there:
                declared = {column.name: column.type for column in self._rows.planner.missing(output, {})}
                create(within, self._tables, output, {**ours, **declared}, "TABLE")
                self._tombstones.forget(within, output)
            elif ID not in there:
                raise TableRefusedError(
                    f"table '{output}' has no column {ID}: bizon did not create it, or `unnest` was false then. Write "
                    f"to another destination_id, or rename that table"
                )
            else:
                add = [Column((), name, kind) for name, kind in ours.items() if name not in there]
                apply(within, self._tables, output, [*add, *self._rows.planner.missing(output, there)], ())
            self._there[output] = self._tables.columns_of(within, output)

    def has_rows(self, within: "Transaction", output: str) -> bool:
        """Whether a table with the columns of bizon has rows."""
        return bool(within.rows("SELECT {id} FROM {table} LIMIT 1", id=ID, table=output))

    def staging(self, name: str, output: str) -> SqlStagingTable:
        """It begins with the columns of the output."""
        return TypedStaging(self._tables, name, output, self._rows, self._verifies)

    def part(self, name: str, output: str, joined: str, lock: Write) -> SqlStagingTable:
        """Its columns are among those on which all parts agree."""
        return TypedPart(self._tables, name, output, self._rows, self._verifies, joined, lock)

    def write_as(self, member: int) -> None:
        """Its commits are noted by its number."""
        self._commits.write_as(member)

    def trim_in_place(self, within: "Transaction", last_page: int | None) -> None:
        """From each table of the job."""
        self._commits.trim(within, last_page)

    def write_in_place(self, output: str, batch: "BatchRange", rows: pl.DataFrame) -> Write:
        """Rows, new columns and the commit of the batch are one transaction. Raises RowsRejectedError."""
        planned = self._rows.plan(output, self._there[output], rows)

        def write(within: "Transaction") -> None:
            there = self._tables.columns_of(within, output)
            ready = planned if there == planned.plan.there else self._rows.plan(output, there, rows)
            apply(within, self._tables, output, ready.plan.add, ready.plan.widen)
            self._commits.note(within, output, batch, rows.height)
            columns = {name: kind for name, kind in ready.plan.after.items() if kind is not None}
            rule = self._rows.rule(columns)
            if rule is None:
                self._tables.load(within, output, ready.frame)
            else:
                self._merge_batch(within, output, ready, rule, columns)
            self.written, self._there[output] = ready, ready.plan.after

        return write

    def publish(self, within: "Transaction", output: str, staging: SqlStaging, mode: WriteMode) -> None:
        """The output gets the columns that staging has, and then the rows. Raises DestinationError when a column of
        the output has a type now that does not take the staged values."""
        staged = self._tables.columns_of(within, staging.name)
        there = self._tables.columns_of(within, output)
        add, widen = _match(output, staged, there, self._rows.marks)
        apply(within, self._tables, output, add, widen)
        after = {**there, **{column.name: column.type for column in (*add, *widen)}}
        columns = [column for column in staged if column not in self._rows.marks]
        rule = self._rows.rule({name: kind for name, kind in after.items() if kind is not None})
        if mode is WriteMode.REPLACE:
            self._tombstones.forget(within, output)
            if rule is None and self._swap(within, output, staging.name, staged, after):
                return
            within.run("DELETE FROM {output}", output=output)
        if rule is None:
            copy_rows(within, staging.name, output, columns)
        else:
            self._merge(within, staging.name, output, columns, rule)

    def _swap(
        self,
        within: "Transaction",
        output: str,
        staging: str,
        staged: Mapping[str, ColumnType | None],
        after: Mapping[str, ColumnType | None],
    ) -> bool:
        kept = [Column((), name, kind) for name, kind in after.items() if kind is not None and name not in staged]
        if None in after.values() or any(staged[name] != after[name] for name in staged if name in after):
            return False
        apply(within, self._tables, staging, kept, ())
        within.run("ALTER TABLE {staging} DROP COLUMN {page}", staging=staging, page=PAGE)
        return self._tables.swap(within, staging, output)

    def _merge_batch(
        self, within: "Transaction", output: str, ready: "Rows", rule: "MergeRule", columns: Mapping[str, ColumnType]
    ) -> None:
        names = [name for name in ready.frame.columns if name not in self._rows.marks]
        types = {**{name: columns[name] for name in names}, **self._rows.marks_of_a_merge}
        create(within, self._tables, _BATCH, types, "TEMPORARY TABLE")
        self._tables.load(within, _BATCH, ready.frame)
        self._merge(within, _BATCH, output, names, replace(rule, order=(ROW,)))
        within.run("DROP TABLE {batch}", batch=_BATCH)

    def _merge(self, within: "Transaction", staging: str, output: str, columns: list[str], rule: "MergeRule") -> None:
        if self._tables.merge_into is None:
            raise DestinationConnectionError("this destination has no `write_mode: merge`")
        there = self._tables.columns_of(within, output)
        known = {name: kind for name, kind in there.items() if kind is not None}
        tombstones = self._tombstones.ready(within, output, rule, known)
        self._tables.merge_into(within, staging, output, columns, replace(rule, tombstones=tombstones))


def _match(
    output: str,
    staged: Mapping[str, ColumnType | None],
    there: Mapping[str, ColumnType | None],
    marks: Mapping[str, ColumnType],
) -> tuple[list[Column], list[Column]]:
    """The columns that the output needs to be added, and to be widened."""
    called = {folded(name): name for name in there}
    add: list[Column] = []
    widen: list[Column] = []
    for name, kind in staged.items():
        if name in marks:
            continue
        found = there.get(called.get(folded(name), name), kind)
        if folded(name) not in called and kind is not None:
            add.append(Column((), name, kind))
        elif kind is None or found is None or not (holds(kind, found) or holds(found, kind)):
            raise DestinationError(
                f"column '{name}' of table '{output}' has another type than when the run began, one that does not take "
                f"its {kind or 'staged'} values. Change it back, or drop it, and run again"
            )
        elif found != kind and holds(kind, found):
            widen.append(Column((), called[folded(name)], kind))
    return add, widen
