"""Random streams, crashes and errors against a model destination: every row once, whatever happens when.

The model keeps what a disk keeps: staged batches and a published table. A crash may come before and after every step
that touches it or the state; the next run gets what survived.
"""

from dataclasses import dataclass, field
from typing import Any

import matrices
import polars as pl
from fakes import KEY, ListDestination, ScriptedSource, memory_backend, pipeline, sync_metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from bizon.common.errors.errors import BizonError
from bizon.destination.buffer import DestinationBuffer
from bizon.destination.models import ResumePoint
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, DestinationCursor, JobStatus
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress
from bizon.engine.pipeline.producer import Producer
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import Signal
from bizon.engine.runner.jobs import OpenedJob, close_job, open_job
from bizon.engine.runner.models import RunnerStatus
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.cursor import Cursor
from bizon.transform.transform import Transform

SUCCESS, SOURCE_ERROR = PipelineReturnStatus.SUCCESS, PipelineReturnStatus.SOURCE_ERROR
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


def run_once(world: World, backend: AbstractBackend, mode: str, pages: list[Any], pages_per_batch: int) -> bool:
    """One run of the real producer, consumer, loader and jobs on one thread. True when it succeeded."""
    opened = open_job(backend, pipeline(sync_mode=mode))
    resume, monitor, progress = opened.run.resume, NoOpMonitor(sync_metadata(mode)), Progress()
    destination = ModelDestination(world, opened, mode)
    loader = Loader(
        destination=destination,
        backend=backend,
        run=opened.run,
        ack=lambda _to: None,
        callback=destination.source_callback,
        monitor=monitor,
        progress=progress,
    )
    loader.prepare()
    queue = PythonQueue(PythonQueueConfigDetails())
    source = ScriptedSource(pages)
    cursor = Cursor.from_db(
        "scripted", "items", resume.job_id, None, resume.next_iteration, resume.rows_written, dict(resume.pagination)
    )
    producer = Producer(
        fetcher=PageFetcher(source, monitor, opened.run),
        queue=queue,
        backend=backend,
        run=opened.run,
        cursor=cursor,
        replayed=iter(()),
        progress=progress,
        stop=_Never(),
        max_iterations=None,
        note_every=3,
    )
    produced, error = SUCCESS, None
    try:
        producer.run(resume.exhausted)
    except BizonError as failure:
        produced, error = SOURCE_ERROR, str(failure)
        producer.send_end(Signal.ABORTED)
    consumer = Consumer(
        queue=queue,
        transform=Transform([]),
        buffer=_CountingBuffer(pages_per_batch),
        loader=loader,
        run=opened.run,
        poll_interval=1,
    )
    published = consumer.run() is Outcome.PUBLISHED
    assert published is (produced is SUCCESS), "only a complete stream is published"
    status = RunnerStatus(opened.job.id, producer=produced, consumer=SUCCESS, published=published, error=error)
    close_job(backend, opened, status)
    return published


class _Never:
    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        return None


class _CountingBuffer(DestinationBuffer):
    """Due after ``pages`` pages, so that batches span pages."""

    def __init__(self, pages: int) -> None:
        super().__init__(1, 0)
        self._most = pages

    def is_due(self) -> bool:
        return len(self._pages) >= self._most


@settings(max_examples=matrices.examples(240), deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    crashes=st.lists(st.integers(1, 30), max_size=6),
    failing=st.sets(st.integers(0, 7), max_size=2),
    pages_per_batch=st.integers(1, 4),
    mode=st.sampled_from(["full_refresh", "incremental"]),
)
def test_every_row_is_published_once_whatever_fails(
    sizes: list[int], crashes: list[int], failing: set[int], pages_per_batch: int, mode: str
) -> None:
    ids = iter(range(100))
    pages: list[Any] = [[next(ids) for _ in range(size)] for size in sizes]
    expected = [str(number) for page in pages for number in page]
    after = [*ROWS_BEFORE, *expected] if mode == "incremental" else expected
    backend, world = memory_backend(), World(list(crashes))
    crashing(backend, world)
    broken = {page: pages[page] for page in failing if page < len(pages)}
    for page in broken:
        pages[page] = RuntimeError("the API is down")
    for _attempt in range(len(crashes) + len(broken) + 1):
        try:
            if run_once(world, backend, mode, pages, pages_per_batch):
                break
            mended = min(broken)  # one page after the other
            pages[mended] = broken.pop(mended)
        except Crash:
            if has_succeeded(backend):  # it died after its last act; another run would be a new job
                break
    else:
        raise AssertionError("stuck")
    assert world.table == after
    assert set(world.tables_seen) <= {tuple(ROWS_BEFORE), tuple(after)}, "readers see the old table or the new one"
    assert world.staged == []
    assert has_succeeded(backend)


def has_succeeded(backend: AbstractBackend) -> bool:
    newest = backend.get_last_stream_job(KEY)
    return newest is not None and newest.status is JobStatus.SUCCEEDED
