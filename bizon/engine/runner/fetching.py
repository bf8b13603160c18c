"""The producing half: source, fetcher and producer, built and run."""

from typing import TYPE_CHECKING

from bizon.common.safe_log import logger
from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.pipeline.models import WorkerResult
from bizon.engine.pipeline.producer import Producer, ProducerEnd, deliver
from bizon.engine.queue.spool import replay
from bizon.engine.runner.sources import opened_source
from bizon.source.cursor import Cursor

if TYPE_CHECKING:
    from bizon.engine.runner.models import Links, RunContext
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.source import AbstractSource

_GATE_TIMEOUT = 1.0  # seconds; the wait is repeated, so this bounds how late a stop is seen


def produce(context: "RunContext", links: "Links") -> WorkerResult:
    """Fetch until the stream ends or the run does, once the gate is open."""
    links.queue.connect()
    monitor = context.new_monitor()
    with opened_source(context.config) as source:
        announce_total(context, links, source)
        producer = build_producer(context, links, build_fetcher(context, source, monitor))
        while not links.gate.wait(_GATE_TIMEOUT):
            if links.stop.is_set():
                return WorkerResult(ProducerEnd.STOPPED.status).tracked_by(monitor)
        end = _fetch(producer, context.run.resume.exhausted)
    deliver(links.queue, links.stop)
    links.queue.close()
    return WorkerResult(end.status, capped=end is ProducerEnd.CAPPED).tracked_by(monitor)


def build_fetcher(context: "RunContext", source: "AbstractSource", monitor: "AbstractMonitor") -> PageFetcher:
    """The part that asks the source for pages."""
    return PageFetcher(source, monitor, context.run, context.incremental, context.config.on_error)


def build_producer(context: "RunContext", links: "Links", fetcher: PageFetcher) -> Producer:
    """The producing loop, at the resume point."""
    run, config = context.run, context.config
    cursor = Cursor.from_db(
        source_name=config.source.name,
        stream_name=config.source.stream,
        job_id=run.job_id,
        total_records=links.progress.snapshot().total_records,
        iteration=run.resume.next_iteration,
        rows_fetched=run.resume.rows_written,
        pagination=dict(run.resume.pagination),
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
        max_iterations=config.source.max_iterations,
        note_every=config.engine.backend.config.syncCursorInDBEvery,
    )


def announce_total(context: "RunContext", links: "Links", source: "AbstractSource") -> None:
    """Report where the run starts, and ask the source how many records there are. For display only, so a failure does
    not fail the run. A window has no total: the source counts the whole stream."""
    resume = context.run.resume
    links.progress.resumes(resume.next_iteration, resume.rows_written + resume.dead_letters)
    if context.incremental is not None:
        links.progress.expect(None)
        return
    try:
        total = source.get_total_records_count()
    except Exception as error:  # noqa: BLE001 - display only, and code of a connector
        logger.warning(f"get_total_records_count failed, progress is shown without a total: {error}")
        return
    links.progress.expect(total)
    if total is not None:
        links.backend.set_total_records(context.run.job_id, total)


def _fetch(producer: Producer, exhausted: bool) -> ProducerEnd:
    try:
        return producer.run(exhausted)
    except BaseException:
        producer.abort()
        raise
