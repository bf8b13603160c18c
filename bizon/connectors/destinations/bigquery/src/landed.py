"""Remembers the rows of a batch that have landed: each request puts its rows into the table at once.

When some rows of a batch are refused, or a request fails, the other rows have landed. The loader calls again for the
same batch, without the refused rows; rows that have landed are skipped then. They are remembered while the run lives: a
run that is killed writes its last batch again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from bizon.common.errors.errors import RowsRejectedError

Confirmed = list[Iterable[int]]
"""Positions of rows that are in the table, request by request. The function that appends rows fills it."""
Append = Callable[[pl.DataFrame, Confirmed], None]


class Landed:
    """Rows of the current batch that are in their table, by ``bizon_id``, which is unique in a batch."""

    def __init__(self) -> None:
        self._batch: Any = None
        self._ids: set[str] = set()

    def write(self, batch: Any, frame: pl.DataFrame, append: Append) -> None:
        """Append the rows of a batch that have not landed. ``batch``: a key of the batch and its table.

        Raises the errors of ``append``; a RowsRejectedError names rows by their position in ``frame``.
        """
        if batch != self._batch:
            self._batch, self._ids = batch, set()
        rest = self._rest(frame)
        rows = frame if rest is None else frame[rest]
        confirmed: Confirmed = []
        try:
            append(rows, confirmed)
        except RowsRejectedError as error:
            self._keep(rows, confirmed)
            if rest is None:
                raise
            raise RowsRejectedError({rest[position]: why for position, why in error.reasons.items()}) from error
        except BaseException:
            self._keep(rows, confirmed)
            raise
        self._batch = None

    def _rest(self, frame: pl.DataFrame) -> list[int] | None:
        """Positions of the rows that have not landed; None for all."""
        if not self._ids:
            return None
        return [position for position, id_ in enumerate(frame["bizon_id"]) if id_ not in self._ids]

    def _keep(self, rows: pl.DataFrame, confirmed: Confirmed) -> None:
        ids = rows["bizon_id"]
        for positions in confirmed:
            self._ids.update(ids.gather(list(positions)))
