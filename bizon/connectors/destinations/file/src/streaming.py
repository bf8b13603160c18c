"""Sync mode ``stream``: rows go to their file at once, and one run may write several files.

NDJSON is appended to, under a journal. To Parquet and CSV nothing can be appended, or no column:
``<destination_id>.parquet`` and ``<destination_id>.csv`` are folders with one file per write. A file is known only once
a record names it, so a list of the files is kept next to the configured one (``tables-<owner key>.json``): ``prepare``
takes back, in each of them, the rows that no checkpoint vouches for. Doing that at the next write to the file would be
too late: other pages would have been committed past the torn ones, which would look committed, too.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import orjson

from bizon.common.private_files import sync_folder
from bizon.connectors.destinations.file.src.config import FileFormat
from bizon.connectors.destinations.file.src.durable import (
    make_folder,
    published_mode,
    temporary_beside,
    write_aside,
    write_bytes,
)
from bizon.connectors.destinations.file.src.journal import Journal
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.output import Claimant, Output

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.presence import Presence


class _Table(Protocol):
    output: Output

    def trim(self, last_iteration: int | None, *, may_be_open: bool) -> None: ...

    def append(self, from_iteration: int, to_iteration: int, write: Callable[[BinaryIO], None]) -> None: ...


class PartFolder:
    """A table as a folder: one file per write, named by job and pages; a reader reads them all. ``member``: of a
    stream, whose files have its number after the job; ``seat``: what its start has claimed for itself."""

    def __init__(
        self, output: Output, format: FileFormat, member: int | None = None, seat: Output | None = None
    ) -> None:
        self.output = output
        self._format = format
        self._seat = seat
        self._chain = output.claimant.job_id if member is None else f"{output.claimant.job_id}.{member}"

    def trim(self, last_iteration: int | None, *, may_be_open: bool) -> None:
        """Remove the files of this job, or member, that no checkpoint vouches for."""
        with self._fenced():
            dropped = [
                path
                for path in self.output.main.glob(f"{self._chain}-*.{self._format}")
                if last_iteration is None or int(path.stem.rsplit("-", 1)[1]) > last_iteration
            ]
            for path in dropped:
                path.unlink()
            if dropped:
                sync_folder(self.output.main)

    def append(self, from_iteration: int, to_iteration: int, write: Callable[[BinaryIO], None]) -> None:
        """Add a file, on disk when this returns; it replaces a file of the same pages. Raises OSError."""
        make_folder(self.output.main)
        name = f"{self._chain}-{from_iteration:010d}-{to_iteration:010d}.{self._format}"
        temporary = temporary_beside(self.output.folder / name)
        write_aside(temporary, write)
        temporary.chmod(published_mode(self.output.main / name))
        with self._fenced():
            os.replace(temporary, self.output.main / name)
        sync_folder(self.output.main)

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        with nullcontext() if self._seat is None else self._seat.fenced(), self.output.fenced():
            yield


def why_alone(format: FileFormat, *, infers: bool) -> str | None:
    """Why members of a stream cannot write at once; None when they can. ``infers``: columns are inferred."""
    if format is FileFormat.JSON:
        return "appends to one file, and takes the rows of one process; `format: parquet` or `csv` takes several"
    if infers:
        return "infers columns for one process at a time; declare all in `record_schemas`, or set `unnest: false`"
    return None


class StreamTables:
    """The files that one stream job writes. ``output_of`` returns the output that a record names, or raises
    ValueError."""

    def __init__(
        self, default: Output, format: FileFormat, output_of: Callable[[str], Output], presence: "Presence"
    ) -> None:
        self._format = format
        self._output_of = output_of
        self._presence = presence
        self._default, self._list = default, default
        self._member: int | None = None
        self._last_iteration: int | None = None
        self._listed: list[str] = []
        self._open: dict[str, _Table] = {}
        self._names: dict[Path, str] = {}

    def prepare(self, last_iteration: int | None, claimant: Claimant, member: int | None = None) -> None:
        """Take back, in every listed file, the rows that no checkpoint vouches for. Called once per run. ``member``: of
        a stream. It has a list of its own, and its claim to that is the claim to its seat."""
        self._last_iteration, self._member, folder = last_iteration, member, self._default.folder
        name = f"tables-{claimant.owner.key}{'' if member is None else f'-{member}'}"
        self._list = Output(folder / f"{name}.json", claimant, folder / name)
        self._list.claim(State.STREAMING)
        if self._list.main.exists():
            self._listed = [str(name) for name in orjson.loads(self._list.main.read_bytes())]
        for destination_id in self._listed:
            output = self._output_of(destination_id)
            found = output.manifest()
            if found is not None and found.owner == output.claimant.owner:
                self._claimed(output)

    def append(
        self,
        destination_id: str,
        from_iteration: int,
        to_iteration: int,
        write: Callable[[BinaryIO], None],
        columns: dict[str, str] | None = None,
    ) -> None:
        """Add rows to a file, on disk when this returns. ``columns``: the inferred columns that it has from now on.

        Raises OSError, DestinationConnectionError when the file is another pipeline's, ValueError when two
        destination_ids of this run name the same file, and OvertakenError in a superseded start.
        """
        table = self._open.get(destination_id) or self._first_use(destination_id)
        if columns is not None:
            table.output.note_columns(columns)
        table.append(from_iteration, to_iteration, write)

    def _first_use(self, destination_id: str) -> _Table:
        output = self._output_of(destination_id)
        other = self._names.setdefault(output.main, destination_id)
        if other != destination_id:
            raise ValueError(f"destination_ids '{other}' and '{destination_id}' name the same file '{output.main}'")
        if destination_id not in self._listed:
            output.check_free()
            with self._list.fenced():
                write_bytes(self._list.main, orjson.dumps([*self._listed, destination_id]))
            self._listed.append(destination_id)
        self._open[destination_id] = self._claimed(output)
        return self._open[destination_id]

    def _claimed(self, output: Output) -> _Table:
        """The table of an output that only this start changes from now on."""
        table: _Table
        if self._format is FileFormat.JSON:
            table = Journal(output)
        else:
            seat = None if self._member is None else self._list
            table = PartFolder(output, self._format, self._member, seat)
        with self._presence.taking_over(output, State.STREAMING) as may_be_open:
            table.trim(self._last_iteration, may_be_open=may_be_open)
        return table
