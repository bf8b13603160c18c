"""Rows of a job that are not published yet: a folder of the job, ``.bizon/<file name>/<job id>.<owner key>/``.

Lines are appended to one file, which becomes the output as it is; Parquet, which cannot be appended to, has a file per
write. Either tells from names and content alone what is staged, so that it can be compared with what is committed; and
either tells what a run adds after another has taken over (it was frozen meanwhile, and cannot commit) from what counts.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.durable import make_folder, sync_folder
from bizon.connectors.destinations.file.src.manifest import Output


@dataclass(frozen=True, slots=True)
class Source:
    """A file that goes into the output: its first ``size`` bytes. ``is_ours``: nobody else writes it, not even another
    run of this job, so that it may become the output itself."""

    path: Path
    size: int
    is_ours: bool


class Staging(ABC):
    """The staged rows of one job."""

    def __init__(self, output: Output, extension: str) -> None:
        self.output = output
        self.extension = extension
        self.folder = output.folder / f"{output.job_id}.{output.owner.key}"
        self.epoch = 1

    @abstractmethod
    def sources(self) -> list[Source]:
        """What counts, in page order. Raises DestinationError when something is missing."""

    @abstractmethod
    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        """Add rows, on disk when this returns; a second write of the same pages replaces the first. Raises OSError."""

    def empty(self, epoch: int) -> None:
        """Start with an empty folder, as the start ``epoch`` of the job."""
        self.discard()
        make_folder(self.folder)
        self.epoch = epoch

    @abstractmethod
    def trim(self, last_iteration: int, rows_committed: int, epoch: int) -> None:
        """Keep the rows of the pages up to ``last_iteration``, which are ``rows_committed``.

        Raises DestinationError when there are fewer: publishing would lose rows.
        """

    def discard(self) -> None:
        """Remove the folder of this job."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent)

    def discard_other_jobs(self) -> None:
        """Remove what dead jobs of the same pipeline left; folders of other pipelines stay."""
        for path in self.output.folder.glob(f"*.{self.output.owner.key}"):
            if path != self.folder and path.is_dir():
                shutil.rmtree(path)

    def _keep_only(self, names: set[str]) -> None:
        others = [path for path in self.folder.iterdir() if path.name not in names]
        for path in others:
            path.unlink()
        if others:
            sync_folder(self.folder)

    def _lacking(self, staged: int, committed: int) -> DestinationError:
        return DestinationError(
            f"'{self.folder}' holds {staged} of the {committed} committed rows of job {self.output.job_id}: "
            f"were destination_id, format or the working directory changed, or files deleted? Undo that, or set "
            f"force_ignore_checkpoint: true to fetch everything again"
        )

    def _gone(self, path: Path) -> DestinationError:
        return DestinationError(
            f"'{path}' is gone or cut: was it deleted, or is another run at work? "
            f"Set force_ignore_checkpoint: true to fetch everything again"
        )
