"""Rows of a job that are not published yet: a folder per job, ``.bizon/<file name>/<job id>.<owner key>/``.

Lines are appended to one file, which becomes the output as it is. Parquet cannot be appended to, so each write has a
file. CSV waits as Parquet: all lines of an output have the same columns, which are known at the end. The checkpoint of
each batch keeps a receipt: where its bytes are, and their checksum. The receipts alone decide what counts; everything
else that a crash or a superseded start has left is removed or skipped.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple

from bizon.common.private_files import make_private_folder, sync_folder
from bizon.connectors.destinations.file.src.durable import digest
from bizon.destination.receipts import differs, not_verified, parts_that_count

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.output import Output
    from bizon.destination.models import CommittedBatch

_TRASH = ".trash"


class StagedFile(NamedTuple):
    """A file whose first ``size`` bytes go into the output. ``is_ours``: nobody else writes it, not even another start
    of this job, so it may become the output itself."""

    path: Path
    size: int
    is_ours: bool


class Piece(NamedTuple):
    """The bytes of one committed batch."""

    path: Path
    start: int
    end: int
    checksum: int


class JobFolder:
    """The folder of one job next to an output. ``epoch``: of the start that uses it."""

    def __init__(self, output: "Output") -> None:
        self.output = output
        self.folder = output.folder / f"{output.claimant.job_id}.{output.claimant.owner.key}"
        self.epoch = 1
        self._files: list[StagedFile] | None = None

    def files(self) -> list[StagedFile]:
        """The files that ``verify`` has found to hold the committed rows, in page order."""
        if self._files is None:
            raise not_verified()
        return list(self._files)

    def make(self) -> None:
        """Create the folder if it is missing, private to this user. Raises OSError."""
        make_private_folder(self.folder)

    def discard(self) -> None:
        """Remove the folder of this job. Call it within ``fenced``."""
        _remove(self.folder)

    def discard_other_jobs(self) -> None:
        """Remove what dead jobs of this pipeline left; folders of other pipelines stay. Call it within ``fenced``: then
        no other job of the pipeline is running."""
        ours = f".{self.output.claimant.owner.key}"
        for path in list(self.output.folder.iterdir()):
            if path.name.removesuffix(_TRASH).endswith(ours) and path != self.folder and path.is_dir():
                _remove(path)


class FileStaging(JobFolder, ABC):
    """The staged rows of one job, or of one part of a joined job. ``may_grow``: bytes after the committed rows of a
    file do not matter."""

    may_grow: ClassVar[bool]

    def __init__(self, output: "Output", extension: str) -> None:
        super().__init__(output)
        self.extension = extension
        self._seen: dict[Path, tuple[int, int, int]] = {}

    @abstractmethod
    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        """Add rows, on disk when this returns; a second write of the same pages replaces the first. Raises OSError."""

    @abstractmethod
    def receipt(self) -> dict[str, Any]:
        """The receipt of the last write."""

    @abstractmethod
    def _located(self, receipt: Mapping[str, Any]) -> Piece:
        """Where the rows of a batch are. Raises KeyError, TypeError or ValueError for a receipt from somewhere else."""

    @abstractmethod
    def _kept(self, pieces: Sequence[Piece]) -> None:
        """Called by ``trim``: from now on only these pieces count."""

    @abstractmethod
    def _staged_file(self, path: Path, size: int) -> StagedFile:
        """A file whose first ``size`` bytes count."""

    def empty(self, epoch: int) -> None:
        """Start with an empty folder, as the start ``epoch`` of the job. Call it within ``fenced``."""
        self.discard()
        self.epoch = epoch

    def trim(self, committed: Sequence["CommittedBatch"], epoch: int) -> None:
        """Keep the rows of the committed batches and nothing else. Call it within ``fenced``.

        Raises DestinationError when rows are missing or damaged: publishing would lose them.
        """
        self.make()
        pieces = self._checked(committed)
        names = {piece.path.name for piece in pieces}
        for path in self.folder.iterdir():
            if path.name not in names:
                path.unlink()
        self._kept(pieces)
        sync_folder(self.folder)
        self.epoch = epoch

    def go_on(self, committed: Sequence["CommittedBatch"], epoch: int) -> None:
        """Write after the committed batches of a part, whatever else is there. No file of another start is changed.

        Raises DestinationError when rows are missing or damaged.
        """
        for folder in (self.folder.parent, self.folder):
            make_private_folder(folder)
        self._checked(committed)
        self.epoch = epoch

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Check that the rows of every committed batch are there, unchanged, and note the files that hold them.

        A file that this run has written or read before, and that nobody has touched since, is not read again. Raises
        DestinationError.
        """
        sizes: dict[Path, int] = {}
        for piece in self._checked(committed):
            sizes[piece.path] = piece.end
        self._files = [self._staged_file(path, size) for path, size in sizes.items()]

    def _checked(self, committed: Sequence["CommittedBatch"]) -> list[Piece]:
        pieces = parts_that_count(committed, self._located, str(self.output.main))
        ends: dict[Path, int] = {}
        fresh: dict[Path, tuple[int, int, int]] = {}
        for batch, piece in pieces:
            if piece.start != ends.get(piece.path, 0):
                raise differs(batch, f"'{piece.path}' begins at byte {piece.start}, not {ends.get(piece.path, 0)}")
            ends[piece.path] = piece.end
            try:
                _, size, _ = fresh.setdefault(piece.path, signature(piece.path))
                if size > piece.end and not self.may_grow:
                    raise differs(batch, f"'{piece.path}' has {size} bytes, not {piece.end}")
                if self._seen.get(piece.path) == fresh[piece.path]:
                    continue
                if digest(piece.path, piece.start, piece.end) != piece.checksum:
                    raise differs(batch, f"'{piece.path}' was changed: its checksum differs")
            except (FileNotFoundError, EOFError):
                raise differs(batch, f"'{piece.path}' is missing or cut") from None
        self._seen.update(fresh)
        return [piece for _, piece in pieces]


def signature(path: Path) -> tuple[int, int, int]:
    """Changes whenever the content of a file does."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_ctime_ns


def _remove(folder: Path) -> None:
    """Rename a folder in one step, then delete it: a start that still writes to it gets an error, not a new folder.
    Also finishes a removal that a crash has cut off."""
    trash = folder if folder.name.endswith(_TRASH) else folder.with_name(folder.name + _TRASH)
    if trash != folder and folder.is_dir():
        shutil.rmtree(trash, ignore_errors=True)
        os.replace(folder, trash)
        sync_folder(folder.parent)
    if trash.is_dir():
        shutil.rmtree(trash)
