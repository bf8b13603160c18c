"""Parquet files, read in batches of rows. Polars skips the row groups before the position."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.binary_text import with_binary_as_text
from bizon.connectors.sources.files.src.frame_rows import FrameShape
from bizon.connectors.sources.files.src.rows import Rows

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.storage import OpenFile

_Part = TypeVar("_Part")
_SAMPLE = 1000  # rows, whose size tells how many are read at once
_MOST_ROWS = 100_000


class ParquetReader:
    """A reader of rows. How many it reads at once follows from the file and ``piece_size``, so that a resumed run reads
    the same pages."""

    def __init__(self, file: "OpenFile", shape: FrameShape, *, row: int, piece_size: int) -> None:
        self._file = file
        self._shape = shape
        self._row = row
        self._whole = file.scan()
        self._rows: int = self._read(lambda: self._whole.select(pl.len()).collect().item())
        shape.check(self._read(lambda: self._whole.collect_schema().names()))
        sample = self._read(lambda: self._whole.head(_SAMPLE).collect())
        row_size = max(1, sample.estimated_size() // max(1, sample.height))
        self._at_once = int(min(max(1, piece_size // row_size), _MOST_ROWS))
        self._batches: Iterator[pl.DataFrame] | None = None

    def read(self, _size: int) -> Rows:
        frame = self._read(self._next_batch)
        if not frame.height and not self.is_at_end():
            raise SourceFetchError(f"file {self._file.info.path} ends after row {self._row:,} of {self._rows:,}")
        rows = self._shape.rows(frame, self._row)
        self._row += frame.height
        return rows

    def is_at_end(self) -> bool:
        return self._row >= self._rows

    def position(self) -> dict[str, int]:
        return {"row": self._row}

    def _next_batch(self) -> pl.DataFrame:
        if self._batches is None:
            rest = self._whole.slice(self._row)
            self._batches = iter(rest.collect_batches(chunk_size=self._at_once, maintain_order=True))
        frame = next(self._batches, None)
        if frame is None or not frame.height:
            return pl.DataFrame()
        return with_binary_as_text(frame)

    def _read(self, part: Callable[[], _Part]) -> _Part:
        """A part of the file, once it is known that all of it is of the version that was opened."""
        try:
            found = part()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            self._file.check()
            text = str(error).partition("\n")[0]
            raise SourceFetchError(f"file {self._file.info.path} cannot be read as Parquet: {text}") from error
        self._file.check()
        return found
