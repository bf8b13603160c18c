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

_NUL = "\0"
_NOT_HELD = "that its column does not hold, so rows cannot be compared by it"


class Rows(NamedTuple):
    """``frame``: the rows of the plan, with their marks. ``unversioned``: the key of the version, where the table
    has no column for it: the order of arrival counts."""

    plan: "Plan"
    frame: pl.DataFrame
    unversioned: str | None = None


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
        frame, unversioned = plan.frame, None
        if self.keys is not None:
            rule = self.rule({name: kind for name, kind in plan.after.items() if kind is not None})
            unversioned = self.keys.version if rule is not None and rule.version is None else None
            self._check_keys(output, plan, rows)
            frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
            if self.keys.deleted is not None:
                frame = frame.with_columns(deletions(rows["source_data"], self.keys.deleted))
        return Rows(plan, frame, unversioned)

    def rule(self, columns: Mapping[str, ColumnType]) -> MergeRule | None:
        """The rule of the merge; None when rows are appended. ``columns``: those that the output has now."""
        if self.keys is None:
            return None
        called = {name.casefold(): name for name in columns}
        key = [called.get(self._compared(each), each) for each in self.keys.key] or [RECORD_ID]
        version = None if self.keys.version is None else called.get(self._compared(self.keys.version))
        return MergeRule(key, version, removed=DELETED if self.keys.removes else None)

    def _compared(self, key: str) -> str:
        return self.planner.rules.compared(key) or ""

    def _check_keys(self, output: str, plan: "Plan", rows: pl.DataFrame) -> None:
        """Refuse rows that a merge would take for another one, or for an older one than they are."""
        ids, reasons, keys = rows["source_record_id"], dict[int, str](), self.keys or Keys()
        for name, key in [*(("primary_key", key) for key in keys.key), ("version", keys.version)]:
            column = None if key is None else self.planner.column(output, key)
            if name == "primary_key":
                nulls = range(rows.height) if column is None else plan.frame[column].is_null().arg_true()
                reasons.update(dict.fromkeys(nulls, f"has no value for '{key}' of `{name}`"))
            if key is not None and (column is not None or name == "primary_key"):
                unheld = self.planner.unheld(output, key, plan.frame)
                reasons.update(dict.fromkeys(unheld, f"has a value for '{key}' of `{name}` {_NOT_HELD}"))
        if not keys.key:
            named = ids.str.contains(_NUL, literal=True).arg_true()
            reasons.update(dict.fromkeys(named, f"is identified by its id, with a NUL {_NOT_HELD}"))
        if reasons:
            raise RowsRejectedError({row: f"record '{ids[row]}' {why}" for row, why in sorted(reasons.items())})
