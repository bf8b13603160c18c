"""The table in which merges remember the keys of removed rows, next to the table that they merge into."""

from typing import TYPE_CHECKING

from bizon.destination.column_types import TIMESTAMP, ColumnType, holds
from bizon.destination.columns import Column
from bizon.destination.merge_parts import TombstoneTable
from bizon.destination.sql_rows import staging_name
from bizon.destination.system_columns import REMOVED_AT
from bizon.destination.typed_tables import apply, create

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bizon.destination.merge_rule import MergeRule
    from bizon.destination.sql_target import Transaction
    from bizon.destination.typed_tables import TypedTables

_SUFFIX = "removed"


class Tombstones:
    """The tombstones of each output of a run, used in transactions that have checked the claim. ``days``: how long they
    are kept; 0: there are none."""

    def __init__(self, tables: "TypedTables", days: int) -> None:
        self._tables = tables
        self._days = days

    def ready(
        self, within: "Transaction", output: str, rule: "MergeRule", columns: "Mapping[str, ColumnType]"
    ) -> TombstoneTable | None:
        """The table for a merge into an output with these columns; it is created, or gets their types. None where a
        merge needs none: rows without a version are never late. Tombstones of another key are forgotten."""
        if not self._days or rule.removed is None or rule.version is None or rule.version in rule.key:
            return None
        compared = (*rule.key, rule.version)
        if not columns.keys() >= {*compared}:
            return None  # the merge refuses the table
        name = self._name(output)
        wanted = {**{each: columns[each] for each in compared}, REMOVED_AT: TIMESTAMP}
        there = self._tables.columns_of(within, name)
        wide = [Column((), each, kind) for each, kind in wanted.items() if there.get(each) != kind]
        if there.keys() != wanted.keys() or not all(_holds(each.type, there[each.name]) for each in wide):
            self.forget(within, output)
            create(within, self._tables, name, wanted, "TABLE")
        else:
            apply(within, self._tables, name, (), wide)
        return TombstoneTable(name, self._days)

    def forget(self, within: "Transaction", output: str) -> None:
        """Forget the removed rows of an output that is new, or whose rows are all replaced."""
        within.run("DROP TABLE IF EXISTS {tombstones}", tombstones=self._name(output))

    def _name(self, output: str) -> str:
        return staging_name(output, _SUFFIX, "", self._tables.dialect)


def _holds(wide: ColumnType, narrow: ColumnType | None) -> bool:
    return narrow is not None and holds(wide, narrow)
