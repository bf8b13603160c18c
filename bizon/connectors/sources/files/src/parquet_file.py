"""Parquet files, a row group at a time. Polars skips the row groups before the position."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.binary_text import with_binary_as_text
from bizon.connectors.sources.files.src.json_rows import NO_ROWS
from bizon.connectors.sources.files.src.parquet_footer import rows_of_groups
from bizon.connectors.sources.files.src.storage import without_queries

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.frame_rows import FrameShape
    from bizon.connectors.sources.files.src.json_rows import Rows
    from bizon.connectors.sources.files.src.storage import OpenFile

_Part = TypeVar("_Part")
_MOST_ROWS = 100_000


class ParquetReader:
    """A reader of rows. The rest of the row group, or of several small ones, is in memory. The number of rows
    per page is measured once, and is part of the position."""

    def __init__(self, file: "OpenFile", shape: "FrameShape", *, row: int, at_once: int, piece_size: int) -> None:
        self._file = file
        self._shape = shape
        self._row = row
        self._at_once = at_once  # 0: not measured yet
        self._piece_size = piece_size
        self._ends = list(accumulate(rows_of_groups(file)))
        self._whole = file.scan()
        self._held = pl.DataFrame()
        shape.check(self._read(lambda: self._whole.collect_schema().names()))

    def read(self, _size: int) -> "Rows":
        if self.is_at_end():
            return NO_ROWS
        if not self._held.height:
            self._held = self._read(self._next_groups)
        if not self._held.height:
            raise SourceFetchError(f"file {self._file.info.path} ends after row {self._row:,} of {self._ends[-1]:,}")
        if not self._at_once:
            row_size = max(1, int(self._held.estimated_size()) // self._held.height)
            self._at_once = min(max(1, self._piece_size // row_size), _MOST_ROWS)
        frame, self._held = self._held[: self._at_once], self._held[self._at_once :]
        rows = self._shape.rows(with_binary_as_text(frame), self._row)
        self._row += frame.height
        return rows

    def is_at_end(self) -> bool:
        return not self._ends or self._row >= self._ends[-1]

    def position(self) -> dict[str, int]:
        return {"row": self._row, "rows": self._at_once}

    def _next_groups(self) -> pl.DataFrame:
        """The rest of the row group at the position, and those after it that still fit into a page."""
        ends = self._ends[bisect_right(self._ends, self._row) :]
        end = max([ends[0], *(each for each in ends if each - self._row <= self._at_once)])
        return self._whole.slice(self._row, end - self._row).collect(engine="streaming")

    def _read(self, part: Callable[[], _Part]) -> _Part:
        """A part of the file, checked to come from the version that was opened."""
        try:
            found = self._file.repeated(part)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            self._file.check()
            text = without_queries(str(error).partition("\n")[0])
            raise SourceFetchError(f"file {self._file.info.path} cannot be read as Parquet: {text}") from error
        self._file.check()
        return found
