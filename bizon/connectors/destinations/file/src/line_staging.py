"""Staging of lines: each start of a job appends to its own file, one row per line.

The start of that number writes ``<epoch>.json``. The next start seals it: it renames the file to
``<epoch>-sealed.json`` and cuts it after its last committed batch. A superseded start finds its file gone; whatever it
still appends to an open file lies after the bytes that count. So only the rows have to be flushed to disk with a batch,
and a run that is not interrupted has a single file, which becomes the output without a copy.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bizon.common.private_files import append_private, sync_folder
from bizon.connectors.destinations.file.src.durable import digest, drop_from_cache, take_back, truncate, truncate_file
from bizon.connectors.destinations.file.src.file_staging import FileStaging, Piece, StagedFile, signature

if TYPE_CHECKING:
    from bizon.destination.models import CommittedBatch


class LineStaging(FileStaging):
    """The lines of one job."""

    may_grow = True
    _last: tuple[int, int, int] | None = None  # pages of the last write, and where it began
    _size = 0
    _number = 0  # of the file that this start writes; 0 before it is known
    _checksum = 0

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        if not self._size:
            self.make()
        is_repeat = self._last is not None and self._last[:2] == (from_iteration, to_iteration)
        start = self._last[2] if is_repeat and self._last is not None else self._size
        own = self._own
        before = self._seen.pop(own, None)
        is_untouched = not start or (own.exists() and before == signature(own))
        with append_private(own) as handle:
            self._begin_at(handle, start)
            try:
                write(handle)
                handle.flush()
                os.fsync(handle.fileno())
                end = os.fstat(handle.fileno()).st_size
                self._checksum = digest(own, start, end)
                drop_from_cache(handle)
            except Exception:
                take_back(handle, start)
                raise
        if not start:
            sync_folder(self.folder)
        self._last, self._size = (from_iteration, to_iteration, start), end
        if is_untouched:
            self._seen[own] = signature(own)

    def receipt(self) -> dict[str, Any]:
        _, _, start = self._last or (0, 0, 0)
        return {"epoch": self._number or self.epoch, "start": start, "end": self._size, "checksum": self._checksum}

    def empty(self, epoch: int) -> None:
        super().empty(epoch)
        self._begin()

    def trim(self, committed: Sequence["CommittedBatch"], epoch: int) -> None:
        super().trim(committed, epoch)
        sealed = [int(path.name[:6]) for path in self.folder.iterdir()]
        self.epoch = max([epoch, *(number + 1 for number in sealed)])  # a restored state counts some starts twice
        self._begin()

    def go_on(self, committed: Sequence["CommittedBatch"], epoch: int) -> None:
        super().go_on(committed, epoch)
        self._begin()

    @property
    def _own(self) -> Path:
        return self._unsealed(self._number or self.epoch)

    def _begin(self) -> None:
        """Choose a file that no earlier start has written, also when the state has lost count of the starts: an older
        release kept no count."""
        self._last, self._size, self._number = None, 0, self.epoch
        while self._sealed(self._number).exists():
            self._number += 1

    def _begin_at(self, handle: BinaryIO, start: int) -> None:
        """Continue after the last batch; cut off what a failed write has left."""
        size = os.fstat(handle.fileno()).st_size
        if size < start:
            raise OSError(f"'{self._own}' was cut or removed: is another run writing?")
        truncate(handle, start)

    def _located(self, receipt: Mapping[str, Any]) -> Piece:
        epoch = int(receipt["epoch"])
        sealed = self._sealed(epoch)
        path = sealed if sealed.exists() else self._unsealed(epoch)
        return Piece(path, int(receipt["start"]), int(receipt["end"]), int(receipt["checksum"]))

    def _kept(self, pieces: Sequence[Piece]) -> None:
        for path, size in {piece.path: piece.end for piece in pieces}.items():
            sealed = self._sealed(int(path.name[:6]))
            os.replace(path, sealed)
            truncate_file(sealed, size)
            self._seen[sealed] = signature(sealed)

    def _staged_file(self, path: Path, size: int) -> StagedFile:
        return StagedFile(path, size, is_ours=path == self._own and path.stat().st_size == size)

    def _unsealed(self, epoch: int) -> Path:
        return self.folder / f"{epoch:06d}.{self.extension}"

    def _sealed(self, epoch: int) -> Path:
        return self.folder / f"{epoch:06d}-sealed.{self.extension}"
