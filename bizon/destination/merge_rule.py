"""How rows of a staging table meet the rows with their key in the output: the seam between tables and merges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bizon.destination.system_columns import PAGE, ROW

if TYPE_CHECKING:
    from bizon.destination.merge_parts import TombstoneTable
    from bizon.destination.sql_target import Transaction


@dataclass(frozen=True, slots=True)
class MergeRule:
    """``key``: the columns that identify a row, never null in staging. ``version``: the column whose largest value
    wins, null counts as the smallest; None: the row that arrived last wins. ``order``: columns of staging that tell the
    order of arrival, the first one first. ``removed``: a boolean column of staging; where it is true, the row with this
    key is removed unless its version is larger, and none is inserted. ``tombstones``: the table that remembers the keys
    of removed rows, so that an older row that arrives later stays out (``merge_tombstones.py``); None: it comes back.

    An equal version replaces: a batch that is delivered again changes nothing.
    """

    key: Sequence[str]
    version: str | None = None
    order: Sequence[str] = (PAGE, ROW)
    removed: str | None = None
    tombstones: "TombstoneTable | None" = None


MergeInto = Callable[["Transaction", str, str, Sequence[str], MergeRule], None]
"""Merges the rows of a staging table: ``merge_into(within, staging, output, columns, rule)``.

``columns``: the columns of the output, which staging has, too, among them the key and the version. Called in the
transaction that publishes, or, in sync mode stream, in the one that writes a batch; running it twice must change
nothing. More than one row of staging may have the same key.
"""
