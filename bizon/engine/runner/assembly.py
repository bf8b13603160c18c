"""Building the parts of a run from its configuration."""

from collections.abc import Iterator
from contextlib import contextmanager

from bizon.common.models import BizonConfig
from bizon.common.on_error import OnError
from bizon.common.role import Role
from bizon.common.scrub import Scrubber
from bizon.common.secret import iter_secrets
from bizon.common.sync import SyncMetadata
from bizon.destination.buffer import MEGABYTE, DestinationBuffer
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.dead_letters import DeadLetters, dead_letter_destination
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.engine.backend.backend import AbstractBackend, BackendFactory
from bizon.engine.backend.models import StreamKey
from bizon.engine.pipeline.consumer import Consumer
from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.producer import Producer
from bizon.engine.queue.models import QueueMessage, broker_name
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.engine.queue.spool import Spool, replay
from bizon.engine.runner.models import Links, RunContext
from bizon.monitoring.monitor import AbstractMonitor, MonitorFactory
from bizon.source.callback import AbstractSourceCallback
from bizon.source.config import SourceSyncModes
from bizon.source.cursor import Cursor
from bizon.source.discover import resolve_source_class
from bizon.source.source import AbstractSource
from bizon.transform.transform import Transform


def build_source(config: BizonConfig) -> AbstractSource:
    """The source of the pipeline, not contacted yet; a source object that a program gave is returned as it is."""
    given = config.source.given_source
    if isinstance(given, AbstractSource):
        return given
    key = StreamKey(config.job_name, config.source.name, config.source.stream)
    return resolve_source_class(config.source)(config.source.of_pipeline(broker_name(key)))


def build_backend(config: BizonConfig) -> AbstractBackend:
    """The backend of the pipeline, with its tables created."""
    backend = BackendFactory.get_backend(config.engine.backend)
    backend.create_all_tables()
    return backend


def build_monitor(context: RunContext) -> AbstractMonitor:
    """The monitor of the run."""
    return MonitorFactory.get_monitor(_sync_metadata(context))


def build_destination(
    context: RunContext, backend: AbstractBackend, callback: AbstractSourceCallback, monitor: AbstractMonitor
) -> AbstractDestination:
    """The destination of the pipeline, not contacted yet."""
    return DestinationFactory.get_destination(
        sync_metadata=_sync_metadata(context),
        config=context.config.destination,
        backend=backend,
        source_callback=callback,
        monitor=monitor,
    )


def build_dead_letters(
    context: RunContext, destination: AbstractDestination, callback: AbstractSourceCallback, monitor: AbstractMonitor
) -> DeadLetters:
    """How rows that cannot be delivered are handled; their file, if there is one, is a second destination."""
    config = context.config
    scrub = Scrubber(context.secrets.union(iter_secrets(config))).brief
    if config.on_error is not OnError.DEAD_LETTER and not context.run.resume.dead_letters:
        return DeadLetters(config.on_error, scrub=scrub)
    file = dead_letter_destination(
        config.dead_letter_path or destination.dead_letter_id,
        sync_metadata=_sync_metadata(context),
        backend=destination.backend,
        source_callback=callback,
        monitor=monitor,
    )
    return DeadLetters(config.on_error, file, scrub)


def build_fetcher(context: RunContext, source: AbstractSource, monitor: AbstractMonitor) -> PageFetcher:
    """The part that asks the source for pages."""
    return PageFetcher(source, monitor, context.run, context.incremental, context.config.on_error)


def build_producer(context: RunContext, links: Links, fetcher: PageFetcher) -> Producer:
    """The producing loop, at the resume point."""
    resume, config = context.run.resume, context.config
    cursor = Cursor.from_db(
        source_name=config.source.name,
        stream_name=config.source.stream,
        job_id=context.run.job_id,
        total_records=links.progress.snapshot().total_records,
        iteration=resume.next_iteration,
        rows_fetched=resume.rows_written,
        pagination=dict(resume.pagination),
    )
    return Producer(
        fetcher=fetcher,
        queue=links.queue,
        backend=links.backend,
        run=context.run,
        cursor=cursor,
        replayed=_replayed(context),
        progress=links.progress,
        stop=links.stop,
        max_iterations=config.source.max_iterations,
        note_every=config.engine.backend.config.syncCursorInDBEvery,
    )


def build_loader(
    context: RunContext,
    links: Links,
    destination: AbstractDestination,
    dead_letters: DeadLetters,
    callback: AbstractSourceCallback,
    monitor: AbstractMonitor,
) -> Loader:
    """The commit point."""
    return Loader(
        destination=destination,
        backend=links.backend,
        run=context.run,
        ack=lambda to_iteration: links.queue.ack(context.run.job_id, to_iteration),
        callback=callback,
        monitor=monitor,
        progress=links.progress,
        dead_letters=dead_letters,
    )


@contextmanager
def open_spool(context: RunContext) -> Iterator[Spool | None]:
    """Within: the spool for pages that wait long in the consuming side's queue; None when pages are not spooled."""
    if context.spool is None:
        yield None
        return
    with Spool(context.spool, context.run).kept() as spool:
        yield spool


def build_queue(config: BizonConfig, key: StreamKey, role: Role) -> AbstractQueue:
    """The queue of one role, outside the run, not connected yet."""
    return QueueFactory.get_queue(config.engine.queue, role=role, stream=key, budget=memory_budget(config))


def build_consumer(context: RunContext, links: Links, loader: Loader) -> Consumer:
    """The consuming loop."""
    config = context.config
    return Consumer(
        queue=links.queue,
        transform=Transform(config.transforms, config.on_error),
        buffer=_buffer(config),
        loader=loader,
        run=context.run,
        poll_interval=config.engine.queue.config.consumer.poll_interval,
        is_newer_job=lambda job_id: _is_newest(links.backend, context.run.key, job_id),
        has_started=lambda epoch: _has_started(links.backend, context.run.job_id, epoch),
        watch=links.watch,
    )


def memory_budget(config: BizonConfig) -> int:
    """Bytes of pages that may wait, in the queue and in the buffer together: a full buffer, and as much again that is
    fetched while the buffer is written."""
    details: AbstractDestinationDetailsConfig = config.destination.config
    return details.buffer_size * MEGABYTE * 2


def _buffer(config: BizonConfig) -> DestinationBuffer:
    """In sync mode ``stream`` it holds micro-batches, so that offsets are soon committed to the source."""
    if config.source.sync_mode is SourceSyncModes.STREAM:
        batch = config.engine.runner.config.micro_batch
        return DestinationBuffer(batch.max_size, batch.max_seconds, max_records=batch.max_records)
    details = config.destination.config
    return DestinationBuffer(details.buffer_size, details.buffer_flush_timeout)


def _is_newest(backend: AbstractBackend, key: StreamKey, job_id: str) -> bool:
    newest = backend.get_last_stream_job(key)
    return newest is not None and newest.id == job_id


def _has_started(backend: AbstractBackend, job_id: str, epoch: int) -> bool:
    job = backend.get_stream_job_by_id(job_id)
    return job is not None and epoch <= job.producer_epoch


def _replayed(context: RunContext) -> Iterator[QueueMessage]:
    if context.spool is None:
        return iter(())
    return replay(context.spool, context.run)


def _sync_metadata(context: RunContext) -> SyncMetadata:
    return SyncMetadata.from_bizon_config(context.run.job_id, context.config, replaces=context.replaces)
