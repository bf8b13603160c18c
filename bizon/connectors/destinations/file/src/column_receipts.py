"""The inferred columns of staged rows: each receipt says which ones its batch has added or widened."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bizon.destination.column_types import column_type

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.typed_batch import There

_KEY = "columns"  # in a receipt
Noted = Mapping[str, str]
"""Names and types, in order."""


def columns_after(there: "There", committed: Iterable["CommittedBatch"]) -> "There":
    """The columns of an output once the batches that count are in it. Raises ValueError for an unknown type."""
    columns = dict(there)
    for batch in committed:
        changes = (batch.receipt or {}).get(_KEY, {})
        columns.update({name: column_type(kind) for name, kind in changes.items()})
    return columns


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
        return {_KEY: changes} if changes else {}
