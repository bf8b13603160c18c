"""The producer's role: source, fetcher and producer, built and run."""

from contextlib import suppress
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.engine.partitions import Position
from bizon.engine.pipeline.fetcher import PageFetcher, end_of_stream
from bizon.engine.pipeline.models import WorkerResult
from bizon.engine.pipeline.producer import Producer, ProducerEnd, deliver, put
from bizon.engine.queue.models import Signal
from bizon.engine.queue.spool import replay
from bizon.engine.runner.sources import opened_source
from bizon.source.cursor import Cursor

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.models import Progress
    from bizon.engine.runner.models import Links, RunContext, Share
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.source import AbstractSource

_GATE_TIMEOUT = 1.0  # seconds; the wait is repeated, so this bounds how late a stop is seen


def produce(context: "RunContext", links: "Links") -> WorkerResult:
    """Fetch until the stream ends or the run does, once the gate is open."""
    links.queue.connect()
    monitor = context.new_monitor()
    with opened_source(context.config, context.plan) as source:
        if context.run.part is None:
            announce_total(context, links.progress, links.backend, source)
        producer = build_producer(context, links, build_fetcher(context, source, monitor, context.run.part))
        while not links.gate.wait(_GATE_TIMEOUT):
            if links.stop.is_set():
                return WorkerResult(ProducerEnd.STOPPED.status).tracked_by(monitor)
        end = _fetch(producer, context.run.resume.exhausted)
    deliver(links.queue, links.stop)
    links.queue.close()
    return WorkerResult(end.status, capped=end is ProducerEnd.CAPPED).tracked_by(monitor)


def produce_share(context: "RunContext", links: "Links", share: "Share") -> WorkerResult:
    """Fetch partitions, one after the other, until none is left or the run ends. Each has a source of its own, and the
    last message is the end of all that this producer sends."""
    links.queue.connect()
    monitor = context.new_monitor()
    while not links.gate.wait(_GATE_TIMEOUT):
        if links.stop.is_set():
            return WorkerResult(ProducerEnd.STOPPED.status).tracked_by(monitor)
    signal = Signal.ABORTED
    try:
        end = _fetch_share(context, links, share, monitor)
        signal = Signal.COMPLETE if end is ProducerEnd.EXHAUSTED else Signal.ABORTED
    finally:
        with suppress(QueueError):  # the consumer has gone, and its error counts
            put(links.queue, links.stop, end_of_stream(context.run, 0, signal))
    deliver(links.queue, links.stop)
    links.queue.close()
    return WorkerResult(end.status, capped=end is ProducerEnd.CAPPED).tracked_by(monitor)


def _fetch_share(context: "RunContext", links: "Links", share: "Share", monitor: "AbstractMonitor") -> ProducerEnd:
    fetched = 0
    while (partition := share.take()) is not None:
        if links.stop.is_set():
            return ProducerEnd.STOPPED
        left = None if share.most_pages is None else share.most_pages - fetched
        with opened_source(context.config, partition.plan) as source:
            fetcher = build_fetcher(context, source, monitor, partition.number)
            producer = build_producer(context, links, fetcher, partition.number, left)
            end = producer.fetch_all()
        if end is not ProducerEnd.EXHAUSTED:
            return end
        fetched += producer.fetched
    return ProducerEnd.EXHAUSTED


def build_fetcher(
    context: "RunContext", source: "AbstractSource", monitor: "AbstractMonitor", partition: int | None = None
) -> PageFetcher:
    """The part that asks the source for pages, of one partition or of the whole stream."""
    return PageFetcher(source, monitor, context.run, context.incremental, context.config.on_error, partition)


def build_producer(
    context: "RunContext",
    links: "Links",
    fetcher: PageFetcher,
    partition: int | None = None,
    most_pages: int | None = None,
) -> Producer:
    """The producing loop, at the resume point of the stream or of one partition. ``most_pages``: for a partition."""
    run, config, resume = context.run, context.config, context.run.resume
    position = Position(resume.next_iteration, resume.pagination)
    if partition is not None:
        position = run.positions.position_of(partition)
    cursor = Cursor.from_db(
        source_name=config.source.name,
        stream_name=config.source.stream,
        job_id=run.job_id,
        total_records=links.progress.snapshot().total_records,
        iteration=position.pages,
        rows_fetched=run.resume.rows_written,
        pagination=dict(position.pagination),
    )
    return Producer(
        fetcher=fetcher,
        queue=links.queue,
        backend=links.backend,
        run=run,
        cursor=cursor,
        replayed=iter(()) if context.spool is None else replay(context.spool, run),
        progress=links.progress,
        stop=links.stop,
        max_iterations=config.source.max_iterations if partition is None else most_pages,
        note_every=config.engine.backend.config.syncCursorInDBEvery if partition is None else None,
    )


def announce_total(
    context: "RunContext", progress: "Progress", backend: "AbstractBackend", source: "AbstractSource"
) -> None:
    """Report where the run starts, and ask the source how many records there are. For display only, so a failure does
    not fail the run. A window has no total: the source counts the whole stream."""
    resume = context.run.resume
    progress.resumes(resume.next_iteration, resume.rows_written + resume.dead_letters)
    if context.incremental is not None:
        progress.expect(None)
        return
    try:
        total = source.get_total_records_count()
    except Exception as error:  # noqa: BLE001 - display only, and code of a connector
        logger.warning(f"get_total_records_count failed, progress is shown without a total: {error}")
        return
    progress.expect(total)
    if total is not None:
        backend.set_total_records(context.run.job_id, total)


def _fetch(producer: Producer, exhausted: bool) -> ProducerEnd:
    try:
        return producer.run(exhausted)
    except BaseException:
        producer.abort()
        raise
