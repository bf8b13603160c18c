"""Appends to a file in place; a torn or uncommitted append can be taken back.

``.bizon/<file name>/journal`` has one line per append, on disk before the append begins:
``{"job_id": ..., "from": ..., "to": ..., "size": <bytes of the main file before it>}``.

Both files are opened within the fence, and written to outside it. A start that takes over from one that may still
live, frozen in the middle of an append, replaces both files by copies: the other start then continues to write to a
file that has lost its name.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import orjson

from bizon.common.private_files import append_private, sync_folder
from bizon.connectors.destinations.file.src.durable import (
    append_published,
    copy_bytes,
    ends_a_line,
    make_folder,
    published_mode,
    take_back,
    temporary_beside,
    truncate,
    truncate_file,
    write_aside,
    write_bytes,
)

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.output import Output

_KEPT_LINES = 1_000  # how far back a trim can reach, in appends
_MOST_LINES = 10_000


class Append(NamedTuple):
    """One append: the pages it brings, and the size of the main file before it."""

    job_id: str
    from_iteration: int
    to_iteration: int
    size: int

    def line(self) -> bytes:
        """The line of the journal."""
        return orjson.dumps(self._asdict()) + b"\n"


class Journal:
    """The appends of one job to one file of lines.

    An append that no checkpoint vouches for is visible to readers until the next run cuts it off, together with
    whatever somebody else has appended after it.
    """

    def __init__(self, output: "Output") -> None:
        self.output = output
        self.path = output.folder / "journal"
        self._appends: list[Append] = []

    def trim(self, last_iteration: int | None, *, may_be_open: bool) -> None:
        """Cut the main file back to the committed appends of this job, and read the journal. Called once per run.

        ``may_be_open``: an earlier start was not seen to end, and may hold the files open.
        """
        with self.output.fenced():
            appends, intact = self._read()
            mine = [append for append in appends if append.job_id == self.output.claimant.job_id]
            committed = [each for each in mine if last_iteration is not None and each.to_iteration <= last_iteration]
            main = self.output.main
            size = mine[len(committed)].size if len(committed) < len(mine) else None
            if may_be_open and main.exists():
                self._replace_by_copy(main.stat().st_size if size is None else size)
            elif size is not None:
                truncate_file(main, size)
            self._appends = committed[-_KEPT_LINES:]
            if self._appends != appends or not intact or may_be_open:
                self._rewrite()

    def append(self, from_iteration: int, to_iteration: int, write: Callable[[BinaryIO], None]) -> None:
        """Add rows, on disk when this returns. A second append of the same pages replaces the first. Raises OSError."""
        make_folder(self.output.main.parent)
        with ExitStack() as files:
            with self.output.fenced():
                existed = self.output.main.exists()
                handle = files.enter_context(append_published(self.output.main))
                journal = files.enter_context(append_private(self.path))
            last = self._appends[-1] if self._appends else None
            if last is not None and (last.from_iteration, last.to_iteration) == (from_iteration, to_iteration):
                truncate(handle, last.size)
            else:
                size = os.fstat(handle.fileno()).st_size
                last = Append(self.output.claimant.job_id, from_iteration, to_iteration, size)
                self._note(journal, last)
            try:
                self._extend(handle, last.size, write)
            except Exception:
                take_back(handle, last.size)
                raise
        if not existed:
            sync_folder(self.output.main.parent)
        self._shorten()

    def _extend(self, handle: BinaryIO, size: int, write: Callable[[BinaryIO], None]) -> None:
        if not ends_a_line(self.output.main, size):
            handle.write(b"\n")
            handle.flush()
        write(handle)
        handle.flush()
        os.fsync(handle.fileno())

    def _note(self, journal: BinaryIO, append: Append) -> None:
        size = os.fstat(journal.fileno()).st_size
        try:
            journal.write(append.line())
            journal.flush()
            os.fsync(journal.fileno())
        except Exception:
            take_back(journal, size)
            raise
        if not size:
            sync_folder(self.path.parent)
        self._appends.append(append)

    def _shorten(self) -> None:
        if len(self._appends) > _MOST_LINES:
            with self.output.fenced():
                self._appends = self._appends[-_KEPT_LINES:]
                self._rewrite()

    def _replace_by_copy(self, size: int) -> None:
        """Replace the main file by a copy of its first ``size`` bytes: a start that has it open writes to the old file.
        The next start removes a copy that a crash has left."""
        main = self.output.main
        copy = temporary_beside(self.output.folder / main.name)
        mode = published_mode(main)

        def write(target: BinaryIO) -> None:
            with main.open("rb") as source:
                copy_bytes(source, target, size)

        write_aside(copy, write)
        copy.chmod(mode)
        os.replace(copy, main)
        sync_folder(main.parent)

    def _rewrite(self) -> None:
        write_bytes(self.path, b"".join(append.line() for append in self._appends))

    def _read(self) -> tuple[list[Append], bool]:
        """The lines before the first torn one, and whether there is none: an append after a torn line never began."""
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
