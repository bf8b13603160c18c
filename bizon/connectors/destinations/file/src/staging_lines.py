"""Staging of lines: each start of a job appends to a file of its own, one row per line.

``<epoch>.json`` is written by the start of that number. The next start counts: as many lines as rows are committed
stay, what follows them (a torn line, a batch without a checkpoint) is cut off, and the file is sealed: renamed to
``<epoch>-<rows>.json``. So nothing but the rows has to be flushed to disk with a batch, and a run that is not
interrupted has a single file, which becomes the output without being copied.

A start that was overtaken finds its file sealed and begins another under the old name, which the next start removes:
its number is not above that of a sealed file, or another file has a higher one.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bizon.connectors.destinations.file.src.durable import (
    drop_from_cache,
    end_of_line,
    make_folder,
    sync_folder,
    truncate,
)
from bizon.connectors.destinations.file.src.staging import Source, Staging

_NAME = re.compile(r"(\d{6})(?:-(\d+))?\.[a-z]+")


@dataclass(frozen=True, slots=True, order=True)
class _Lines:
    """A file of lines; ``rows`` is None for one that is not sealed."""

    epoch: int
    rows: int | None
    path: Path


class LineStaging(Staging):
    """The lines of one job."""

    _sealed: list[Source] | None = None
    _last_write: tuple[int, int, int] | None = None
    _size = 0

    def sources(self) -> list[Source]:
        """The sealed files and that of this run; before ``empty`` or ``trim`` all files."""
        if self._sealed is None:
            return [Source(file.path, file.path.stat().st_size, is_ours=False) for file in self._found()]
        own = [Source(self._own, self._size, is_ours=True)] if self._size else []
        for source in (sources := [*self._sealed, *own]):
            if not source.path.exists() or source.path.stat().st_size < source.size:
                raise self._gone(source.path)
        return sources

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        make_folder(self.folder)
        size = self._own.stat().st_size if self._own.exists() else 0
        if self._last_write is not None and self._last_write[:2] == (from_iteration, to_iteration):
            size = self._last_write[2]
            truncate(self._own, size)
        try:
            with self._own.open("ab") as handle:
                write(handle)
                handle.flush()
                os.fsync(handle.fileno())
                drop_from_cache(handle)
            if not size:
                sync_folder(self.folder)
        except Exception:
            truncate(self._own, size)
            raise
        self._last_write = (from_iteration, to_iteration, size)
        self._size = self._own.stat().st_size

    def empty(self, epoch: int) -> None:
        super().empty(epoch)
        self._sealed, self._size = [], 0

    def trim(self, last_iteration: int, rows_committed: int, epoch: int) -> None:
        make_folder(self.folder)
        left = rows_committed
        kept: list[tuple[_Lines, int, int]] = []
        for file in self._counting():
            rows = left if file.rows is None else min(file.rows, left)
            end = end_of_line(file.path, rows)
            if end.lines < rows:
                raise self._lacking(rows_committed - left + end.lines, rows_committed)
            if rows:
                kept.append((file, rows, end.offset))
            left -= rows
        if left:
            raise self._lacking(rows_committed - left, rows_committed)
        self._keep_only({file.path.name for file, _, _ in kept})
        self._sealed = [self._seal(*each) for each in kept]
        sync_folder(self.folder)
        self.epoch, self._size, self._last_write = epoch, 0, None

    @property
    def _own(self) -> Path:
        return self.folder / f"{self.epoch:06d}.{self.extension}"

    def _seal(self, file: _Lines, rows: int, size: int) -> Source:
        truncate(file.path, size)
        sealed = self.folder / f"{file.epoch:06d}-{rows}.{self.extension}"
        os.replace(file.path, sealed)
        return Source(sealed, size, is_ours=False)

    def _counting(self) -> list[_Lines]:
        """The sealed files, and the newest other one if it is newer than they are."""
        found = self._found()
        sealed = [file for file in found if file.rows is not None]
        newest = max((file for file in found if file.rows is None), default=None, key=lambda file: file.epoch)
        if newest is None or any(file.epoch >= newest.epoch for file in sealed):
            return sealed
        return [*sealed, newest]

    def _found(self) -> list[_Lines]:
        if not self.folder.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        files = [_Lines(int(name[1]), int(name[2]) if name[2] else None, path) for name, path in matches if name]
        return sorted(files, key=lambda file: file.epoch)
