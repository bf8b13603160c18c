"""The typed rows of a batch, and the columns that their table needs for them. Pure: the tables are not touched.

``Planner.plan`` is called before the transaction that writes, with the columns that the table had when it was seen
last. The transaction looks again, and asks for another plan when somebody has changed the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.destination.column_names import RESERVED, NameRules, folded
from bizon.destination.system_columns import with_system_columns
from bizon.destination.table_schema import TableSchema, table_schema
from bizon.destination.typed import Typed, inferred, typed, unheld

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType
    from bizon.destination.columns import Column
    from bizon.destination.evidence import Evidence
    from bizon.destination.leaves import Path
    from bizon.destination.typed_config import SchemaMode
    from bizon.destination.typed_engine import EngineLimits

_TRIED = 1024  # records
There: TypeAlias = "Mapping[str, ColumnType | None]"
"""The columns of a table as its catalogue has them; None for a type that is not in our vocabulary."""


class Plan(NamedTuple):
    """``there``: the columns that the table has, ``add`` and ``widen``: those that it needs first. ``frame``: the rows.
    ``rescued``: values in ``_bizon_rescued``, by path. ``refused``: why a path has no column."""

    there: There
    add: "tuple[Column, ...]"
    widen: "tuple[Column, ...]"
    frame: pl.DataFrame
    rescued: "Mapping[Path, int]"
    refused: "Mapping[Path, str]"

    @property
    def after(self) -> There:
        """The columns of the table once they are added and widened."""
        return {**self.there, **{column.name: column.type for column in (*self.add, *self.widen)}}


@dataclass
class Planner:
    """Plans the batches of a run. ``declared``: by table, the types that `record_schemas` declares, by key. ``most``:
    columns that a table may have besides the reserved ones. ``limits``: of the engine."""

    rules: NameRules
    mode: "SchemaMode"
    flatten: int = 0
    most: int | None = None
    declared: "Mapping[str, Mapping[str, ColumnType]]" = field(default_factory=dict)
    limits: "EngineLimits | None" = None
    _schemas: dict[str, tuple[There, TableSchema]] = field(init=False, default_factory=dict)

    def plan(self, output: str, there: There, rows: pl.DataFrame, required: Sequence[str] = ()) -> Plan:
        """The plan for a batch of a table. ``required``: columns that take no null. Raises RowsRejectedError for rows
        that are not JSON objects, that have null in such a column, and, where the mode is strict, that do not fit."""
        before = schema = self._schema(output, there)
        texts = rows["source_data"]
        refused: dict[Path, str] = {}
        if not schema.columns and not schema.unbound:
            schema, result = self._first(schema, texts, refused)
        else:
            result = self._typed(texts, schema, strict=before.is_strict)
        while (after := self._follow(schema, result.unmet, refused)) is not schema:
            schema = after
            result = self._typed(texts, schema, strict=before.is_strict)
        self._check(rows, result, required)
        add, widen = _changes(there, schema.columns)
        plan = Plan(there, add, widen, with_system_columns(rows, result.frame), result.rescued, refused)
        self._schemas[output] = plan.after, schema
        return plan

    def _first(self, schema: TableSchema, texts: pl.Series, refused: "dict[Path, str]") -> tuple[TableSchema, Typed]:
        """The columns and the rows of the first batch of a table without columns. The types of some records are tried
        on all; where one value does not fit its column, they come from all records."""
        tried = self._follow(schema, inferred(texts.head(_TRIED), self.flatten), {})
        result = self._typed(texts, tried)
        if texts.len() > _TRIED and any(column.path in result.unmet for column in tried.columns):
            tried = self._follow(schema, inferred(texts, self.flatten), refused)
            result = self._typed(texts, tried)
        return tried, result

    def _typed(self, texts: pl.Series, schema: TableSchema, *, strict: bool = False) -> Typed:
        misfits = None if self.limits is None else self.limits.json_misfits
        return typed(texts, schema.columns, self.flatten, strict=strict, json_misfits=misfits)

    def column(self, output: str, key: str) -> str | None:
        """The column of a key in the table as it was planned last; None when it has none."""
        _, schema = self._schemas[output]
        return next((column.name for column in schema.columns if column.path == (key,)), None)

    def unheld(self, output: str, key: str, frame: pl.DataFrame) -> Sequence[int]:
        """The rows whose record has a value for a key that its column does not hold as it is."""
        return unheld(frame, self.column(output, key), key)

    def missing(self, output: str, there: There) -> "tuple[Column, ...]":
        """The declared columns that the table lacks."""
        return self._schema(output, there).missing(there)

    def _schema(self, output: str, there: There) -> TableSchema:
        """The schema of the last plan, unless the table has changed: a key keeps its column."""
        known = self._schemas.get(output)
        if known is not None and known[0] == there:
            return known[1]
        return table_schema(
            {name: kind for name, kind in there.items() if kind is not None},
            self.declared.get(output, {}),
            self.rules,
            self.mode,
            flatten=self.flatten,
            most=self.most,
            closed=[name for name, kind in there.items() if kind is None and not folded(name).startswith(RESERVED)],
            limits=self.limits,
        )

    def _follow(self, schema: TableSchema, unmet: "Mapping[Path, Evidence]", refused: "dict[Path, str]") -> TableSchema:
        difference = schema.difference(unmet)
        refused.update(difference.refused)
        return schema if difference.is_empty else schema.changed(difference)

    def _check(self, rows: pl.DataFrame, result: Typed, required: Sequence[str]) -> None:
        faults = dict(result.faults)
        for name in required:
            has_it = name in result.frame.columns
            for row in result.frame[name].is_null().arg_true() if has_it else range(rows.height):
                faults.setdefault(row, f"has no value that fits column '{name}', which is REQUIRED")
        if faults:
            ids = rows["source_record_id"]
            raise RowsRejectedError({row: f"record '{ids[row]}' {why}" for row, why in sorted(faults.items())})


def _changes(there: There, columns: "Sequence[Column]") -> "tuple[tuple[Column, ...], tuple[Column, ...]]":
    """The columns to add, and those to widen."""
    called = {folded(name): name for name in there}
    add = tuple(column for column in columns if folded(column.name) not in called)
    wide = tuple(column for column in columns if column.name in there and there[column.name] != column.type)
    return add, wide
