"""Rows of a job that are not published yet: one part file per write, in a folder of the job.

``.bizon/<file name>/<job id>.<owner key>/<from>-<to>-<rows>.<format>``: the name says which pages a part holds and how
many rows, so that what is staged can be compared with what is committed without opening a file.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.durable import make_folder, sync_folder, write_file
from bizon.connectors.destinations.file.src.manifest import Output

_PART_NAME = re.compile(r"(\d{10})-(\d{10})-(\d+)\.[a-z]+")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A finished part file; pages are inclusive at both ends."""

    from_iteration: int
    to_iteration: int
    rows: int
    path: Path


class Staging:
    """The parts of one job."""

    def __init__(self, output: Output, extension: str) -> None:
        self.output = output
        self.extension = extension
        self.folder = output.folder / f"{output.job_id}.{output.owner.key}"

    def parts(self) -> list[Part]:
        """All parts, in page order."""
        if not self.folder.is_dir():
            return []
        matches = [(_PART_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(Part(int(name[1]), int(name[2]), int(name[3]), path) for name, path in matches if name)

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        """Add a part, on disk when this returns; it replaces a part of the same pages. Raises OSError."""
        make_folder(self.folder)
        name = f"{from_iteration:010d}-{to_iteration:010d}-{rows}.{self.extension}"
        write_file(self.folder / name, write)
        twins = [
            part.path
            for part in self.parts()
            if (part.from_iteration, part.to_iteration) == (from_iteration, to_iteration) and part.path.name != name
        ]
        self._remove(twins)

    def empty(self) -> None:
        """Start with an empty folder."""
        self.discard()
        make_folder(self.folder)

    def trim(self, last_iteration: int, rows_committed: int) -> None:
        """Keep the committed parts only: those of pages up to ``last_iteration``, which hold ``rows_committed`` rows.

        Pages without rows have no part, so gaps are legal; the number of rows tells whether a part is missing. Raises
        DestinationError then: publishing would lose rows.
        """
        make_folder(self.folder)
        kept = [part for part in self.parts() if part.to_iteration <= last_iteration]
        names = {part.path.name for part in kept}
        self._remove([path for path in self.folder.iterdir() if path.name not in names])
        staged = sum(part.rows for part in kept)
        if staged != rows_committed:
            raise DestinationError(
                f"'{self.folder}' holds {staged} of the {rows_committed} committed rows of job {self.output.job_id}: "
                f"were destination_id, format or the working directory changed, or files deleted? Undo that, or set "
                f"force_ignore_checkpoint: true to fetch everything again"
            )

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

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink()
        if paths:
            sync_folder(self.folder)
