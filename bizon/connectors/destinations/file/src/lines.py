"""The lines of NDJSON files, read a block at a time, and without losing a digit."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from bizon.destination.columns import Column, frame_type
from bizon.destination.readable import Cell, Exact
from bizon.destination.typed import RESCUED, typed
from bizon.rows.exact_json import SentNumbers

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType

_BLOCK = 1024 * 1024
_LINES_AT_ONCE = 4096
_BROKEN = "a line is not an object with the columns that bizon wrote"
_KEPT = "\0rescued"
"""Stands for our column of this name, which ``typed`` makes itself."""


class Lines:
    """A line that is being written, without its end, does not count."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def count(self) -> int:
        """The number of lines."""
        return sum(block.count(b"\n") for path in self._paths for block in _blocks(path))

    def cells(self) -> Iterator[dict[str, Cell]]:
        """Each line by its keys. Raises ValueError."""
        numbers = SentNumbers()
        for text in self._texts():
            try:
                row = numbers.loads(text)
                yield {
                    name: value if value is None or isinstance(value, bool | str) else Exact(numbers.dumps(value))
                    for name, value in row.items()
                }
            except (ValueError, AttributeError):
                raise ValueError(_BROKEN) from None

    def frame(self, kinds: "Mapping[str, ColumnType]") -> pl.LazyFrame:
        """The lines with typed columns, read when the frame is collected."""
        columns = [Column((name,), _KEPT if name == RESCUED else name, kind) for name, kind in kinds.items()]

        def read(
            names: list[str] | None, predicate: pl.Expr | None, count: int | None, _size: int | None
        ) -> Iterator[pl.DataFrame]:
            left, lines = count, self._texts()
            while texts := [*islice(lines, _LINES_AT_ONCE)]:
                some = self._typed(texts, columns).select(*(names or kinds))
                if left is not None:
                    some, left = some.head(left), left - len(texts)
                yield some if predicate is None else some.filter(predicate)
                if left is not None and left <= 0:
                    return

        return register_io_source(read, schema={name: frame_type(kind) for name, kind in kinds.items()})

    def _typed(self, texts: Sequence[str], columns: Sequence[Column]) -> pl.DataFrame:
        found = typed(pl.Series(texts, dtype=pl.String), columns)
        if found.faults or found.rescued:
            raise ValueError(_BROKEN)
        frame = found.frame.drop(RESCUED)
        return frame.rename({_KEPT: RESCUED}) if _KEPT in frame.columns else frame

    def _texts(self) -> Iterator[str]:
        for path in self._paths:
            with path.open(encoding="utf-8", errors="strict", newline="\n") as file:
                yield from (line for line in file if line.endswith("\n"))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
