"""Destinations that write each batch to a file of its own: everything but the store.

A table is a manifest, ``<table>.manifest.json``, and the part files that it names; a reader opens the manifest first.
The protocol is in ``staged.py``, the fence in ``part_manifest.py``. A part that no manifest names is staged, or left
over. Publishing replaces the manifest in one step. The parts that it does not name any more stay until the next job
begins, so that a reader who has opened the manifest before can finish.

Several commands may write one job: the manifest then names the job, and each of them writes files of its part of the
job (``ResumePoint.partition``). A part needs no manifest of its own. Its files have its number and its epoch in their
names, and a file counts only if a checkpoint names it, which the state refuses to a worker whose part has gone to
another one.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import polars as pl

from bizon.common.errors.errors import ConfigError, DestinationConnectionError, DestinationWriteError, RowsRejectedError
from bizon.destination.models import CommittedBatch, OutputState, ResumePoint, WriteMode
from bizon.destination.part_manifest import Manifest, Manifests, Part, Store, fault_of
from bizon.destination.receipts import differs, parts_that_count
from bizon.destination.staged import StagedDestination, Step

_MOMENT_AS_TEXT = "%Y-%m-%dT%H:%M:%S%.6f%:z"
_DIGITS = 8  # of a page in a name


class _Written(NamedTuple):
    """The part of a batch, as its receipt keeps it."""

    name: str
    sha256: str


class PartFilesDestination(StagedDestination):
    """A JSON object per line and a file per batch, exactly once in every sync mode, also when a run is frozen and
    another takes over.

    A subclass writes ``store`` and ``place``, and sets ``failures`` to the errors of the store; and ``single_writer``
    to False where every host sees the same store, so that several can join one job. A table belongs to the pipeline
    that writes it; another pipeline is refused.
    """

    failures = (OSError,)
    _resume: ResumePoint
    _found: Manifest | None = None
    _last: _Written | None = None

    @property
    @abstractmethod
    def store(self) -> Store:
        """Where the files go. Asked often: keep it."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The store without credentials: a folder, a bucket. People see it, and it identifies the output."""

    def is_transient(self, error: Exception) -> bool:
        """Whether the call that raised an error of the store may succeed without a change. By default it may."""
        return True

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the store is unreachable, or the table belongs to another
        pipeline. ConfigError for a ``destination_id`` that is not a plain name."""
        if fault := fault_of(self.default_destination_id):
            raise ConfigError(f"{fault}; set another one", key=("destination", "config", "destination_id"))
        try:
            self._manifests.find(self.default_destination_id)
        except self.failures as error:
            raise DestinationConnectionError(f"{self.place}: {error}") from error
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch to a file. The same batch written again replaces the first write. Raises RowsRejectedError
        for rows that name a table which this pipeline must not write."""
        table, (first, last) = self.destination_id, self.batch
        if fault := fault_of(table):
            raise RowsRejectedError(dict.fromkeys(range(df_destination_records.height), fault))
        with self._refusing(df_destination_records.height), self._explained(Step.PREPARE):
            if self._in_place and table not in self._taken:
                self._manifests.take(table, self._resume)
                self._taken.add(table)
            self._manifests.checked(self._manifests.find(self.default_destination_id), self._resume.of_job)
            name = f"{_start_of(table, self._resume)}-{first:0{_DIGITS}d}-{last:0{_DIGITS}d}.jsonl"
            content = _lines(df_destination_records)
            self.store.write(name, content)
            self._last = _Written(name, hashlib.sha256(content).hexdigest())
            self._wrote.add(name)
            if self._in_place:
                part = Part(name, df_destination_records.height, self._resume.job_id, last)
                self._manifests.change(table, self._resume, lambda now: self._without(now, first - 1, part))
        return True, None

    def receipt(self) -> Mapping[str, Any] | None:
        """Name and checksum of the file of the last write; None when nothing is staged."""
        return None if self._in_place or self._last is None else self._last._asdict()

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Compare the files of all batches, except those this run wrote, with their checksums. Raises
        DestinationError."""
        if self._in_place or self._is_published():
            return
        with self._explained(Step.VERIFY):
            for batch, part in self._counted(committed):
                content = None if part.name in self._wrote else self.store.read(part.name)
                if part.name not in self._wrote and content is None:
                    raise differs(batch, f"'{part.name}' is missing")
                if content is not None and hashlib.sha256(content).hexdigest() != part.sha256:
                    raise differs(batch, f"'{part.name}' has another checksum")
        self._verified = tuple(committed)

    def output(self) -> OutputState:
        """The table as it is now, and the job of this pipeline that published it last."""
        identity = {"destination": self.sync_metadata.destination_name, "place": self._place}
        with self._explained(Step.PREPARE):
            found = self._manifests.find(self.default_destination_id)
        is_mine = found is not None and self._manifests.is_owner(found) and not self._in_place
        return OutputState(
            identity, found.published_by if found is not None and is_mine else None, bool(found and found.parts)
        )

    def describe(self) -> str:
        """The store and the table."""
        return self._place

    @property
    def _place(self) -> str:
        return f"{self.place}, table {self.default_destination_id}"

    def _prepare_in_place(self, resume: ResumePoint) -> None:
        self._open(resume)
        last = -1 if resume.last_iteration is None else resume.last_iteration
        for table in {*self._manifests.own_tables(), self.default_destination_id}:
            self._manifests.take(table, resume)
            self._taken.add(table)
            self._manifests.change(table, resume, lambda now: self._without(now, last))

    def _open(self, resume: ResumePoint) -> None:
        self._resume, table = resume, self.default_destination_id
        self._found = self._manifests.find(table)
        self._manifests.check_owner(self._found, table, adopt=resume.adopt)

    def _has_own_rows(self) -> bool:
        return self._found is not None and self._manifests.is_owner(self._found) and bool(self._found.parts)

    def _take_over(self, resume: ResumePoint) -> None:
        self._found = self._manifests.take(self.default_destination_id, resume)

    def _take_part(self, resume: ResumePoint) -> None:
        self._found = self._manifests.take(self.default_destination_id, resume.of_job)

    def _is_published(self) -> bool:
        found = self._manifests.find(self.default_destination_id)
        return found is not None and self._manifests.is_owner(found) and found.published_by == self._resume.job_id

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        self._manifests.checked(self._manifests.find(self.default_destination_id), self._resume.of_job)
        yield

    def _trim(self, resume: ResumePoint) -> None:
        """Delete files that nothing names. Names begin with a fence; files of later starts stay, and files of other
        parts of this job."""
        table = self.default_destination_id
        named = {part.name for part in self._found.parts} if self._found is not None else set()
        named |= {part.name for _, part in self._counted(resume.committed)}
        for name in sorted(self.store.names(f"{table}/")):
            is_older = name < _job_of(table, resume)
            is_earlier = _start_of(table, replace(resume, epoch=0)) <= name < _start_of(table, resume, later=1)
            if name not in named and (is_older or is_earlier):
                self.store.delete(name)

    def _publish(self, mode: WriteMode) -> None:
        job_id = self._resume.job_id
        new = [Part(part.name, batch.rows, job_id, batch.to_iteration) for batch, part in self._counted(self._verified)]

        def published(now: Manifest) -> Manifest:
            kept = now.parts if mode is WriteMode.APPEND else ()
            return replace(now, parts=(*kept, *new), published_by=job_id)

        self._manifests.change(self.default_destination_id, self._resume, published)

    def _note_published(self) -> None:
        """The manifest that ``_publish`` wrote says it."""

    def _discard(self) -> None:
        """The next job deletes what the manifest does not name any more."""

    @contextmanager
    def _explained(self, step: Step) -> Iterator[None]:
        try:
            yield
        except self.failures as error:
            raise DestinationWriteError(f"{self.place}: {error}", retryable=self.is_transient(error)) from error

    @cached_property
    def _manifests(self) -> Manifests:
        def knows(job_id: str) -> bool:
            return self.backend.get_stream_job_by_id(job_id) is not None

        return Manifests(self.store, self.sync_metadata.owner, knows)

    @cached_property
    def _wrote(self) -> set[str]:
        return set()

    @cached_property
    def _taken(self) -> set[str]:
        return set()

    def _counted(self, committed: Sequence[CommittedBatch]) -> list[tuple[CommittedBatch, _Written]]:
        return parts_that_count(committed, lambda receipt: _Written(receipt["name"], receipt["sha256"]), self._place)

    def _without(self, now: Manifest, last_page: int, *more: Part) -> Manifest:
        """The manifest without the parts of this job after a page, and with ``more``."""
        kept = (part for part in now.parts if part.job_id != self._resume.job_id or part.last_page <= last_page)
        return replace(now, parts=(*kept, *more))


def _job_of(table: str, resume: ResumePoint) -> str:
    """How the names of all files of a job begin; the names of older jobs are smaller."""
    return f"{table}/{resume.job_created_us:016d}-"


def _start_of(table: str, resume: ResumePoint, later: int = 0) -> str:
    """How the names of the files of a start begin, or of a later one of the same part."""
    part = "" if resume.partition is None else f"part{resume.partition:06d}-"
    return f"{_job_of(table, resume)}{part}{resume.epoch + later:06d}"


def _lines(frame: pl.DataFrame) -> bytes:
    text = frame.with_columns(pl.col(pl.Datetime).dt.strftime(_MOMENT_AS_TEXT)).write_ndjson()
    return text.encode()
