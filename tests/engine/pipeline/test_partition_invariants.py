"""The invariants of a job with partitions: random pages of random partitions, crashes and errors, against the model.

Pages arrive in any mixture, a batch holds pages of several partitions, and each run mixes them differently.
"""

from collections import Counter
from random import Random
from typing import Any

import matrices
from engine.pipeline.world import (
    ROWS_BEFORE,
    CountingBuffer,
    Crash,
    ModelDestination,
    World,
    crashing,
    has_succeeded,
)
from fakes import KEY, ScriptedSource, memory_backend, pipeline, sync_metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from bizon.common.errors.errors import BizonError
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import JobStatus
from bizon.engine.partitions import Position
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.fetcher import PageFetcher, end_of_stream
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress
from bizon.engine.pipeline.run import Run
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.lanes import lanes_of
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import Signal
from bizon.engine.runner.jobs import close_job, open_job
from bizon.engine.runner.models import RunnerStatus
from bizon.monitoring.monitor import NoOpMonitor
from bizon.transform.transform import Transform

SUCCESS, SOURCE_ERROR = PipelineReturnStatus.SUCCESS, PipelineReturnStatus.SOURCE_ERROR
Script = list[list[Any]]
"""The pages of each partition."""


class Producers:
    """Several producers on one thread: chance decides whose page is next. The first error ends all of them."""

    def __init__(self, run: Run, script: Script, queue: PythonQueue, producers: int, chance: Random) -> None:
        self._run = run
        self._chance = chance
        self._lanes = lanes_of(queue, producers)
        self._fetchers = {
            number: PageFetcher(ScriptedSource(pages), NoOpMonitor(sync_metadata()), run, partition=number)
            for number, pages in enumerate(script)
        }
        self._at = {each.number: run.positions.position_of(each.number) for each in run.positions.left}
        self.asked: list[tuple[int, int]] = []
        self.failure: str | None = None

    def fetch(self) -> None:
        """Until all partitions are exhausted or one fails; then the end of each producer."""
        signal = Signal.COMPLETE
        while self._at:
            number = self._chance.choice(sorted(self._at))
            try:
                self._next(number)
            except BizonError as failure:
                self.failure, signal = str(failure), Signal.ABORTED
                break
        for lane in self._lanes:
            lane.put(end_of_stream(self._run, 0, signal), timeout=1)
            lane.close()

    def _next(self, number: int) -> None:
        pages, pagination = self._at[number]
        self.asked.append((number, pages))
        message = self._fetchers[number].fetch(pages, dict(pagination))
        self._lanes[number % len(self._lanes)].put(message, timeout=1)
        self._at[number] = Position(pages + 1, message.pagination)
        if not message.pagination:
            del self._at[number]


def run_once(
    world: World, backend: AbstractBackend, mode: str, script: Script, pages_per_batch: int, chance: Random
) -> bool:
    """One run. True when it succeeded."""
    opened = open_job(backend, pipeline(sync_mode=mode))
    run = opened.run
    if not run.partitions and not run.resume.exhausted:
        kept = backend.keep_partitions(run.job_id, [{"part": each} for each in range(len(script))], epoch=run.epoch)
        run = run._replace(partitions=kept)
    destination = ModelDestination(world, opened, mode)
    loader = Loader(
        destination=destination,
        backend=backend,
        run=run,
        ack=lambda _to: None,
        callback=destination.source_callback,
        monitor=NoOpMonitor(sync_metadata(mode)),
        progress=Progress(),
    )
    loader.prepare()
    queue = PythonQueue(PythonQueueConfigDetails(), first_page=run.resume.next_iteration)
    count = max(min(2, len(run.positions.left)), 1)
    producers = Producers(run, script, queue, count, chance)
    committed = {
        (each.number, page) for each in run.partitions for page in range(run.positions.position_of(each.number).pages)
    }
    if run.resume.exhausted:
        queue.put(end_of_stream(run, run.resume.next_iteration, Signal.COMPLETE), timeout=1)
    else:
        producers.fetch()
    assert not committed & {*producers.asked}, "a committed page is not fetched again"
    consumer = Consumer(
        queue=queue,
        transform=Transform([]),
        buffer=CountingBuffer(pages_per_batch),
        loader=loader,
        run=run,
        poll_interval=1,
        producers=count,
    )
    published = consumer.run() is Outcome.PUBLISHED
    assert published is (producers.failure is None), "only a complete stream is published"
    produced = SUCCESS if published else SOURCE_ERROR
    status = RunnerStatus(opened.job.id, produced, SUCCESS, published=published, error=producers.failure)
    close_job(backend, opened, status)
    return published


@settings(max_examples=matrices.examples(120), deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4),
    crashes=st.lists(st.integers(1, 30), max_size=5),
    failing=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=2),
    pages_per_batch=st.integers(1, 4),
    mode=st.sampled_from(["full_refresh", "incremental"]),
    seed=st.integers(0, 1_000),
)
def test_every_row_of_every_partition_is_published_once_whatever_fails(
    sizes: list[list[int]],
    crashes: list[int],
    failing: set[tuple[int, int]],
    pages_per_batch: int,
    mode: str,
    seed: int,
) -> None:
    ids = iter(range(100))
    script: Script = [[[next(ids) for _ in range(size)] for size in pages] for pages in sizes]
    expected = Counter(str(id_) for pages in script for page in pages for id_ in page)
    after = expected + Counter(ROWS_BEFORE if mode == "incremental" else [])
    backend, world, chance = memory_backend(), World(list(crashes)), Random(seed)
    crashing(backend, world)
    broken = {
        (part, page): script[part][page] for part, page in failing if part < len(sizes) and page < len(sizes[part])
    }
    for part, page in broken:
        script[part][page] = RuntimeError("the API is down")
    for _attempt in range(len(crashes) + len(broken) + 1):
        try:
            if run_once(world, backend, mode, script, pages_per_batch, chance):
                break
            for (part, page), ids_of_page in broken.items():
                script[part][page] = ids_of_page
        except Crash:
            if has_succeeded(backend):  # it died after its last act; another run would be a new job
                break
    else:
        raise AssertionError("stuck")
    assert Counter(world.table) == after
    assert all(Counter(table) in (Counter(ROWS_BEFORE), after) for table in {*world.tables_seen})
    assert has_succeeded(backend)
    assert _last_pagination(backend) == {}, "no partition is left"


def _last_pagination(backend: AbstractBackend) -> Any:
    job = backend.get_last_stream_job(KEY)
    assert job is not None
    assert job.status is JobStatus.SUCCEEDED
    cursor = backend.get_last_cursor_by_job_id(job.id)
    return None if cursor is None else cursor.pagination
