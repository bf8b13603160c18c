"""Rows of a job that are not published yet: one part file per write, in a folder of the job.

``.bizon/<file name>/<job id>.<owner key>/<from>-<to>-<rows>-<epoch>.<format>``: the name says which pages a part holds,
how many rows, and which start of the job wrote it. So what is staged can be compared with what is committed without
opening a file, and a part that a run adds after another has taken over (it was frozen meanwhile, and cannot commit) is
told from the parts that count.
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

_PART_NAME = re.compile(r"(\d{10})-(\d{10})-(\d+)-(\d+)\.[a-z]+")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A finished part file; pages are inclusive at both ends."""

    from_iteration: int
    to_iteration: int
    rows: int
    epoch: int
    path: Path


class Staging:
    """The parts of one job."""

    def __init__(self, output: Output, extension: str) -> None:
        self.output = output
        self.extension = extension
        self.folder = output.folder / f"{output.job_id}.{output.owner.key}"
        self._epoch = 1
        self._known: set[str] | None = None

    def parts(self) -> list[Part]:
        """The parts that count, in page order.

        Those that ``empty`` or ``trim`` left and this run has written. Before both: all, except that an earlier start
        of the job counts only up to where a later one went on. Raises DestinationError when one is missing.
        """
        found = self._found()
        if self._known is None:
            return _not_overtaken(found)
        missing = self._known.difference(part.path.name for part in found)
        if missing:
            raise DestinationError(
                f"'{self.folder / min(missing)}' is gone: was it deleted, or is another run at work? "
                f"Set force_ignore_checkpoint: true to fetch everything again"
            )
        return [part for part in found if part.path.name in self._known]

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        """Add a part, on disk when this returns; it replaces a part of the same pages. Raises OSError."""
        make_folder(self.folder)
        name = f"{from_iteration:010d}-{to_iteration:010d}-{rows}-{self._epoch}.{self.extension}"
        write_file(self.folder / name, write)
        mine = (from_iteration, to_iteration, self._epoch)
        twins = [
            part.path
            for part in self._found()
            if (part.from_iteration, part.to_iteration, part.epoch) == mine and part.path.name != name
        ]
        self._remove(twins)
        if self._known is not None:
            self._known = self._known.difference(path.name for path in twins) | {name}

    def empty(self, epoch: int) -> None:
        """Start with an empty folder."""
        self.discard()
        make_folder(self.folder)
        self._epoch, self._known = epoch, set()

    def trim(self, last_iteration: int, rows_committed: int, epoch: int) -> None:
        """Keep the committed parts only: those of pages up to ``last_iteration``, which hold ``rows_committed`` rows.

        Pages without rows have no part, so gaps are legal; the number of rows tells whether a part is missing. Raises
        DestinationError then: publishing would lose rows.
        """
        make_folder(self.folder)
        kept = _not_overtaken([part for part in self._found() if part.to_iteration <= last_iteration])
        names = {part.path.name for part in kept}
        self._remove([path for path in self.folder.iterdir() if path.name not in names])
        staged = sum(part.rows for part in kept)
        if staged != rows_committed:
            raise DestinationError(
                f"'{self.folder}' holds {staged} of the {rows_committed} committed rows of job {self.output.job_id}: "
                f"were destination_id, format or the working directory changed, or files deleted? Undo that, or set "
                f"force_ignore_checkpoint: true to fetch everything again"
            )
        self._epoch, self._known = epoch, names

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

    def _found(self) -> list[Part]:
        if not self.folder.is_dir():
            return []
        matches = [(_PART_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(
            Part(int(name[1]), int(name[2]), int(name[3]), int(name[4]), path) for name, path in matches if name
        )

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink()
        if paths:
            sync_folder(self.folder)


def _not_overtaken(parts: list[Part]) -> list[Part]:
    """A later start goes on where the commits end: what an earlier one staged from there on was never committed."""
    first_pages: dict[int, int] = {}
    for part in parts:
        first_pages[part.epoch] = min(part.from_iteration, first_pages.get(part.epoch, part.from_iteration))
    ends = {
        epoch: min((first for later, first in first_pages.items() if later > epoch), default=None)
        for epoch in first_pages
    }
    return [part for part in parts if (end := ends[part.epoch]) is None or part.to_iteration < end]
