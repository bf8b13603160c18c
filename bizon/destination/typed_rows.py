"""Batches on their way to typed tables: planned, with the marks that a merge needs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.destination.column_types import BOOLEAN, INT64, ColumnType
from bizon.destination.merge_rule import MergeRule
from bizon.destination.system_columns import DELETED, PAGE, RECORD_ID, ROW, deletions

if TYPE_CHECKING:
    from bizon.destination.typed_batch import Plan, Planner, There


class Rows(NamedTuple):
    """``frame``: the rows of the plan, with their marks."""

    plan: "Plan"
    frame: pl.DataFrame


@dataclass(frozen=True)
class Keys:
    """How a pipeline merges. ``key``, ``version``: keys of records; without a key, the id of the record identifies the
    row. ``deleted``: the key that marks a record as deleted; ``removes``: such rows are removed, not flagged.
    ``tombstone_days``: how long removed keys are remembered."""

    key: Sequence[str] = ()
    version: str | None = None
    deleted: str | None = None
    removes: bool = False
    tombstone_days: int = 0


@dataclass(frozen=True)
class TypedRows:
    """Makes the rows of batches. ``keys``: None when rows are appended."""

    planner: "Planner"
    keys: Keys | None = None

    @property
    def marks(self) -> dict[str, ColumnType]:
        """The columns of a staging table that its output does not have."""
        return {PAGE: INT64, **self.marks_of_a_merge}

    @property
    def marks_of_a_merge(self) -> dict[str, ColumnType]:
        """The columns that a merge needs."""
        if self.keys is None:
            return {}
        return {ROW: INT64, **({DELETED: BOOLEAN} if self.keys.removes else {})}

    @property
    def more_columns(self) -> dict[str, ColumnType]:
        """Columns of bizon that the output has besides the usual ones."""
        is_flagged = self.keys is not None and self.keys.deleted is not None and not self.keys.removes
        return {DELETED: BOOLEAN} if is_flagged else {}

    def plan(self, output: str, there: "There", rows: pl.DataFrame) -> Rows:
        """The rows of a batch. Raises RowsRejectedError, also for rows without their key."""
        plan = self.planner.plan(output, there, rows)
        frame = plan.frame
        if self.keys is not None:
            self._check_keys(output, plan, rows)
            frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
            if self.keys.deleted is not None:
                frame = frame.with_columns(deletions(rows["source_data"], self.keys.deleted))
        return Rows(plan, frame)

    def rule(self, columns: Mapping[str, ColumnType]) -> MergeRule | None:
        """The rule of the merge; None when rows are appended. ``columns``: those that the output has now."""
        if self.keys is None:
            return None
        called = {name.casefold(): name for name in columns}
        key = [called.get(self._name(each), each) for each in self.keys.key] or [RECORD_ID]
        version = None if self.keys.version is None else called.get(self._name(self.keys.version))
        return MergeRule(key, version, removed=DELETED if self.keys.removes else None)

    def _name(self, key: str) -> str:
        return self.planner.rules.name((key,)).casefold()

    def _check_keys(self, output: str, plan: "Plan", rows: pl.DataFrame) -> None:
        reasons: dict[int, str] = {}
        for key in self.keys.key if self.keys is not None else ():
            column = self.planner.column(output, key)
            nulls = range(rows.height) if column is None else plan.frame[column].is_null().arg_true()
            reasons.update(dict.fromkeys(nulls, key))
        if reasons:
            ids = rows["source_record_id"]
            raise RowsRejectedError(
                {row: f"record '{ids[row]}' has no value for '{key}' of `primary_key`" for row, key in reasons.items()}
            )
