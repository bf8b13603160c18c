"""The inferred columns of staged rows: each receipt says what its batch has added or widened."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bizon.destination.columns import ColumnType, column_type

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange, CommittedBatch

_KEY = "columns"  # in a receipt
Columns = Mapping[str, ColumnType]


def columns_after(there: Columns, committed: Iterable["CommittedBatch"]) -> dict[str, ColumnType]:
    """The columns of an output with those of the batches that count. Raises ValueError for a type that no release of
    bizon has noted."""
    columns = dict(there)
    for batch in committed:
        changes = (batch.receipt or {}).get(_KEY, {})
        columns.update({name: column_type(kind) for name, kind in changes.items()})
    return columns


class ColumnReceipts:
    """The changes of the batches of one start. ``there``: the columns before its first batch."""

    def __init__(self, there: Columns) -> None:
        self._before = self._now = dict(there)
        self._last_page: int | None = None

    def begin(self, batch: "BatchRange") -> None:
        """The next write is for these pages. Pages that follow the last ones say that those were recorded; else the
        changes of both belong to this batch."""
        if self._last_page is None or batch.from_iteration == self._last_page + 1:
            self._before = self._now
        self._last_page = batch.to_iteration

    def receipt(self, columns: Columns) -> dict[str, dict[str, str]]:
        """What the receipt of the batch has to say; nothing when it has changed nothing."""
        self._now = dict(columns)
        changes = {name: str(kind) for name, kind in columns.items() if self._before.get(name) != kind}
        return {_KEY: changes} if changes else {}
