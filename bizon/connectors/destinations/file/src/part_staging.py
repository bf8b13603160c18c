"""Staging of Parquet and CSV: one Parquet file per write.

``<from>-<to>-<rows>-<epoch>.parquet``: the name gives the pages of a part, its rows, and the start of the job that
wrote it, so that no start ever writes another start's file.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from bizon.connectors.destinations.file.src.durable import digest, write_file
from bizon.connectors.destinations.file.src.file_staging import FileStaging, Piece, StagedFile, signature


class PartStaging(FileStaging):
    """The parts of one job."""

    may_grow = False
    _last: Path | None = None
    _pages = (-1, -1)

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        self.make()
        name = f"{from_iteration:010d}-{to_iteration:010d}-{rows}-{self.epoch}.{self.extension}"
        path = self.folder / name
        write_file(path, write)
        if self._pages == (from_iteration, to_iteration) and self._last is not None and self._last != path:
            self._last.unlink(missing_ok=True)  # the same pages, without rows that were refused since
        self._last, self._pages = path, (from_iteration, to_iteration)

    def receipt(self) -> dict[str, Any]:
        if self._last is None:
            raise ValueError("nothing was written")
        size = self._last.stat().st_size
        seen = signature(self._last)
        found = digest(self._last, 0, size)
        self._seen[self._last] = seen
        return {"file": self._last.name, "size": size, "checksum": found}

    def _located(self, receipt: Mapping[str, Any]) -> Piece:
        name = str(receipt["file"])
        if Path(name).name != name or not name.endswith(f".{self.extension}"):
            raise ValueError(name)
        return Piece(self.folder / name, 0, int(receipt["size"]), int(receipt["checksum"]))

    def _kept(self, pieces: Sequence[Piece]) -> None:
        return None

    def _staged_file(self, path: Path, size: int) -> StagedFile:
        return StagedFile(path, size, is_ours=True)
