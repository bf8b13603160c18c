"""The inferred columns of staged rows: each receipt says which ones its batch has added or widened."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from bizon.destination.column_types import column_type, common_type, holds

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.typed_batch import There

_KEY, _WIDENED = "columns", "widened"  # in a receipt
Noted = Mapping[str, str]
"""Names and types, in order."""


class ColumnChanges(NamedTuple):
    """The columns that a job has added, with their types, and those that it has widened, with the old and the new
    type."""

    added: Noted
    widened: Mapping[str, tuple[str, str]]


def widest(known: "There", there: "There") -> "There":
    """Known columns, each with the type that it has in ``there`` if that one holds its values."""
    wide = {name: kind for name, kind in there.items() if kind is not None}
    return {
        name: wide[name] if kind and name in wide and holds(wide[name], kind) else kind for name, kind in known.items()
    }


def columns_after(there: "There", committed: Iterable["CommittedBatch"]) -> "There":
    """The columns of an output once the batches that count are in it. The batches of each part of a joined job have
    inferred their columns apart; the output gets every column. Raises ValueError for an unknown type, and for two types
    of a column in different parts that have none in common."""
    columns = dict(there)
    for _, batches in groupby(committed, key=lambda batch: batch.partition):
        own: dict[str, ColumnType | None] = {}
        for batch in batches:
            changes = (batch.receipt or {}).get(_KEY, {})
            own.update({name: column_type(kind) for name, kind in changes.items()})
            if batch.partition is None:
                columns.update(own)
        for name, kind in own.items():
            columns[name] = _united(name, columns.get(name), kind)
    return columns


def _united(name: str, left: "ColumnType | None", right: "ColumnType | None") -> "ColumnType | None":
    if left is None or right is None:
        return left or right
    wide = common_type(left, right)
    if wide is None:
        raise ValueError(
            f"column '{name}' is {left} in one part of the job and {right} in another: declare its type in "
            "`record_schemas` and run with --fresh, or let one command fetch all parts (no --join, no runner ray)"
        )
    return wide


def changes_of(committed: Iterable["CommittedBatch"]) -> ColumnChanges:
    """The changes of all batches of a job. A column that a job adds and widens is an added one."""
    added: dict[str, str] = {}
    widened: dict[str, tuple[str, str]] = {}
    for batch in committed:
        receipt = batch.receipt or {}
        before = receipt.get(_WIDENED, {})
        for name, kind in receipt.get(_KEY, {}).items():
            if name in before and name not in added:
                widened[name] = (widened.get(name, (before[name],))[0], kind)
            else:
                added[name] = kind
    return ColumnChanges(added, widened)


def noted(columns: "There", besides: Iterable[str] = ()) -> dict[str, str]:
    """Columns as receipts name them: those with a type, except ``besides``."""
    left_out = {*besides}
    return {name: str(kind) for name, kind in columns.items() if kind is not None and name not in left_out}


class ColumnReceipts:
    """The changes of the batches of one start. ``there``: the columns before its first batch."""

    def __init__(self, there: Noted) -> None:
        self._before = self._now = there
        self._last_page: int | None = None

    def begin(self, batch: "BatchRange") -> None:
        """The next write is for these pages. Pages that follow the last ones say that those were recorded; else the
        changes of both belong to this batch."""
        if self._last_page is None or batch.from_iteration == self._last_page + 1:
            self._before = self._now
        self._last_page = batch.to_iteration

    def receipt(self, columns: Noted) -> Mapping[str, Noted]:
        """The changes of the batch, for its receipt; nothing when there are none."""
        self._now = columns
        changes = {name: kind for name, kind in columns.items() if self._before.get(name) != kind}
        widened = {name: self._before[name] for name in changes if name in self._before}
        return {**({_KEY: changes} if changes else {}), **({_WIDENED: widened} if widened else {})}
