"""Staging of Parquet: one part file per write.

``<from>-<to>-<rows>-<epoch>.parquet``: the name says which pages a part holds, how many rows, and which start of the
job wrote it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.durable import make_folder, write_file
from bizon.connectors.destinations.file.src.staging import Source, Staging

_PART_NAME = re.compile(r"(\d{10})-(\d{10})-(\d+)-(\d+)\.[a-z]+")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A finished part file; pages are inclusive at both ends."""

    from_iteration: int
    to_iteration: int
    rows: int
    epoch: int
    path: Path


class PartStaging(Staging):
    """The parts of one job."""

    _known: set[str] | None = None

    def sources(self) -> list[Source]:
        """The parts that ``empty`` or ``trim`` left and this run has written. Before both: all, except that an earlier
        start of the job counts only up to where a later one went on. Raises DestinationError."""
        found = self._found()
        if self._known is None:
            parts = _not_overtaken(found)
        else:
            parts = [part for part in found if part.path.name in self._known]
            missing = self._known.difference(part.path.name for part in parts)
            if missing:
                raise self._gone(self.folder / min(missing))
        for before, after in pairwise(parts):
            if after.from_iteration <= before.to_iteration:
                raise DestinationError(f"'{before.path}' and '{after.path.name}' hold the same pages")
        return [Source(part.path, part.path.stat().st_size, is_ours=True) for part in parts]

    def write(self, from_iteration: int, to_iteration: int, rows: int, write: Callable[[BinaryIO], None]) -> None:
        make_folder(self.folder)
        name = f"{from_iteration:010d}-{to_iteration:010d}-{rows}-{self.epoch}.{self.extension}"
        write_file(self.folder / name, write)
        mine = (from_iteration, to_iteration, self.epoch)
        twins = {
            part.path.name
            for part in self._found()
            if (part.from_iteration, part.to_iteration, part.epoch) == mine and part.path.name != name
        }
        for twin in twins:
            (self.folder / twin).unlink()
        if self._known is not None:
            self._known = self._known.difference(twins) | {name}

    def empty(self, epoch: int) -> None:
        super().empty(epoch)
        self._known = set()

    def trim(self, last_iteration: int, rows_committed: int, epoch: int) -> None:
        """Pages without rows have no part, so gaps are legal; the number of rows tells whether a part is missing."""
        make_folder(self.folder)
        kept = _not_overtaken([part for part in self._found() if part.to_iteration <= last_iteration])
        names = {part.path.name for part in kept}
        staged = sum(part.rows for part in kept)
        if staged != rows_committed:
            raise self._lacking(staged, rows_committed)
        self._keep_only(names)
        self.epoch, self._known = epoch, names

    def _found(self) -> list[Part]:
        if not self.folder.is_dir():
            return []
        matches = [(_PART_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(
            Part(int(name[1]), int(name[2]), int(name[3]), int(name[4]), path) for name, path in matches if name
        )


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
