"""Random streams, crashes and errors against a model destination: every row once, whatever happens when.

The model keeps what a disk keeps: staged batches and a published table. A crash may come before and after every step
that touches it or the state; the next run gets what survived.
"""

from typing import Any

import matrices
from engine.pipeline.world import (
    ROWS_BEFORE,
    CountingBuffer,
    Crash,
    ModelDestination,
    Never,
    World,
    crashing,
    has_succeeded,
)
from fakes import ScriptedSource, memory_backend, pipeline, sync_metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from bizon.common.errors.errors import BizonError
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress
from bizon.engine.pipeline.producer import Producer
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import Signal
from bizon.engine.runner.jobs import close_job, open_job
from bizon.engine.runner.models import RunnerStatus
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.cursor import Cursor
from bizon.transform.transform import Transform

SUCCESS, SOURCE_ERROR = PipelineReturnStatus.SUCCESS, PipelineReturnStatus.SOURCE_ERROR


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
        stop=Never(),
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
        buffer=CountingBuffer(pages_per_batch),
        loader=loader,
        run=opened.run,
        poll_interval=1,
    )
    published = consumer.run() is Outcome.PUBLISHED
    assert published is (produced is SUCCESS), "only a complete stream is published"
    status = RunnerStatus(opened.job.id, producer=produced, consumer=SUCCESS, published=published, error=error)
    close_job(backend, opened, status)
    return published


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
