"""Appending to a file in place, so that a torn or uncommitted append can be taken back.

``.bizon/<file name>/journal`` has one line per append, on disk before the append begins:
``{"job_id": ..., "from": ..., "to": ..., "size": <bytes of the main file before it>}``.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import BinaryIO

import orjson

from bizon.connectors.destinations.file.src.durable import (
    lacks_newline,
    make_folder,
    sync_folder,
    truncate,
    write_bytes,
)
from bizon.connectors.destinations.file.src.manifest import Output

_KEPT_LINES = 1_000  # how far back a trim can reach, in appends
_MOST_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Append:
    """One append: the pages it brings, and the size of the main file before it."""

    job_id: str
    from_iteration: int
    to_iteration: int
    size: int

    def line(self) -> bytes:
        """The line of the journal."""
        return orjson.dumps(asdict(self)) + b"\n"


class Journal:
    """The appends of one job to one file of lines.

    An append that no checkpoint vouches for is visible to readers until the next run cuts it off. What somebody else
    appended behind it is cut off with it.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.path = output.folder / "journal"
        self._appends: list[Append] = []

    def trim(self, last_iteration: int | None) -> None:
        """Cut the main file back to the committed appends of this job, and read the journal. Called once per run."""
        appends, intact = self._read()
        mine = [append for append in appends if append.job_id == self.output.job_id]
        committed = [append for append in mine if last_iteration is not None and append.to_iteration <= last_iteration]
        if len(committed) < len(mine):
            truncate(self.output.main, mine[len(committed)].size)
        self._appends = committed[-_KEPT_LINES:]
        if self._appends != appends or not intact:
            self._rewrite()

    def append(self, from_iteration: int, to_iteration: int, write: Callable[[BinaryIO], None]) -> None:
        """Add rows, on disk when this returns. A second append of the same pages replaces the first. Raises OSError."""
        main = self.output.main
        make_folder(main.parent)
        last = self._appends[-1] if self._appends else None
        if last is not None and (last.from_iteration, last.to_iteration) == (from_iteration, to_iteration):
            truncate(main, last.size)
        else:
            size = main.stat().st_size if main.exists() else 0
            last = Append(self.output.job_id, from_iteration, to_iteration, size)
            self._note(last)
        try:
            self._extend(write)
        except Exception:
            truncate(main, last.size)
            raise

    def _extend(self, write: Callable[[BinaryIO], None]) -> None:
        main = self.output.main
        existed, glued = main.exists(), lacks_newline(main)
        with main.open("ab") as handle:
            if glued:
                handle.write(b"\n")
                handle.flush()
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        if not existed:
            sync_folder(main.parent)

    def _note(self, append: Append) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as handle:
                handle.write(append.line())
                handle.flush()
                os.fsync(handle.fileno())
        except Exception:
            truncate(self.path, size)
            raise
        if not size:
            sync_folder(self.path.parent)
        self._appends.append(append)
        if len(self._appends) > _MOST_LINES:
            self._appends = self._appends[-_KEPT_LINES:]
            self._rewrite()

    def _rewrite(self) -> None:
        write_bytes(self.path, b"".join(append.line() for append in self._appends))

    def _read(self) -> tuple[list[Append], bool]:
        """The lines up to the first that is torn, and whether none is: an append behind a torn line never began."""
        if not self.path.exists():
            return [], True
        appends = []
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                appends.append(Append(**orjson.loads(line)))
            except (ValueError, TypeError):
                return appends, False
            if not line.endswith(b"\n"):
                return appends, False
        return appends, True
