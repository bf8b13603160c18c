"""A model of what survives a crash: a disk with staged batches and a published table, and a state that can fail."""

from dataclasses import dataclass, field

import polars as pl
from fakes import KEY, ListDestination

from bizon.destination.buffer import DestinationBuffer
from bizon.destination.models import ResumePoint
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, DestinationCursor, JobStatus
from bizon.engine.runner.jobs import OpenedJob

ROWS_BEFORE = ["old"]


class Crash(BaseException):
    """The process is gone."""


@dataclass
class World:
    """The state that survives a crash. ``crashes``: the number of steps before each crash to come."""

    crashes: list[int]
    steps: int = 0
    staged: list[tuple[int, int, list[str]]] = field(default_factory=list)
    table: list[str] = field(default_factory=lambda: list(ROWS_BEFORE))
    published_job: str | None = None
    tables_seen: list[tuple[str, ...]] = field(default_factory=list)

    def step(self) -> None:
        self.steps += 1
        self.tables_seen.append(tuple(self.table))
        if self.crashes and self.steps >= self.crashes[0]:
            self.crashes.pop(0)
            self.steps = 0
            raise Crash


class ModelDestination(ListDestination):
    """Exactly once by the protocol alone: ``prepare`` trims, ``finalize`` may be repeated."""

    def __init__(self, world: World, opened: OpenedJob, mode: str) -> None:
        super().__init__(sync_mode=mode)
        self.world, self.job_id, self.append = world, opened.job.id, mode == "incremental"

    def prepare(self, resume: ResumePoint) -> None:
        self.world.step()
        last = -1 if resume.last_iteration is None else resume.last_iteration
        if self.world.published_job != self.job_id:
            self.world.staged = [part for part in self.world.staged if part[1] <= last]
        self.world.step()

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        self.world.step()
        rows = df_destination_records["source_record_id"].to_list()
        self.world.staged.append((self.batch.from_iteration, self.batch.to_iteration, rows))
        self.world.step()
        return True, None

    def finalize(self) -> bool:
        self.world.step()
        if self.world.published_job != self.job_id:
            rows = [row for _, _, part in self.world.staged for row in part]
            self.world.table = [*self.world.table, *rows] if self.append else rows
            self.world.published_job = self.job_id
        self.world.step()
        self.world.staged = []
        self.world.step()
        return True


def crashing(backend: AbstractBackend, world: World) -> None:
    """Let the state be a place where a crash can come, before and after."""
    commit, status = backend.create_destination_cursor, backend.update_stream_job_status

    def create_destination_cursor(record: CommitRecord) -> DestinationCursor:
        world.step()
        before = backend.get_last_cursor_by_job_id(record.job_id)
        expected = 0 if before is None else before.to_source_iteration + 1
        assert record.from_source_iteration == expected, "cursors are contiguous"
        written = [part for part in world.staged if part[1] <= record.to_source_iteration]
        total = backend.get_number_of_written_rows_for_job(record.job_id) + record.rows_written
        assert sum(len(rows) for _, _, rows in written) == total, "a cursor exists only for what was written"
        cursor = commit(record)
        world.step()
        return cursor

    def update_stream_job_status(
        job_id: str, job_status: JobStatus, error_message: str | None = None, *, epoch: int | None = None
    ) -> None:
        world.step()
        assert job_status is not JobStatus.SUCCEEDED or world.published_job == job_id, "success follows publishing"
        status(job_id, job_status, error_message, epoch=epoch)
        world.step()

    backend.create_destination_cursor = create_destination_cursor  # type: ignore[method-assign]
    backend.update_stream_job_status = update_stream_job_status  # type: ignore[method-assign]


class Never:
    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        return None


class CountingBuffer(DestinationBuffer):
    """Due after ``pages`` pages, so that batches span pages."""

    def __init__(self, pages: int) -> None:
        super().__init__(1, 0)
        self._most = pages

    def is_due(self) -> bool:
        return len(self._pages) >= self._most


def has_succeeded(backend: AbstractBackend) -> bool:
    newest = backend.get_last_stream_job(KEY)
    return newest is not None and newest.status is JobStatus.SUCCEEDED
