"""The two halves of a run: build the parts, work, turn an error into a status, log it once.

Whatever happens, a half that ends wakes the other: the producer sends an end or closes the queue, the consumer sets
the stop flag and closes the queue.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bizon.common.errors.errors import (
    DestinationConnectionError,
    QueueError,
    SourceConnectionError,
    StoppedError,
    TransformError,
)
from bizon.common.interrupts import is_for_the_process
from bizon.common.kept_tokens import kept_by
from bizon.common.role import Role
from bizon.common.safe_log import logger
from bizon.common.waiting import ends_with, stop_sign, was_stopped, within
from bizon.destination.dead_letters import DeadLetters
from bizon.destination.destination import AbstractDestination
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import StopFlag, deliver
from bizon.engine.queue.models import Signal
from bizon.engine.runner.assembly import (
    build_consumer,
    build_dead_letters,
    build_destination,
    build_fetcher,
    build_loader,
    build_monitor,
    build_producer,
    build_source,
)
from bizon.engine.runner.faults import STATUS_OF_HALF, failure, status_of
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.tokens import StateKeepsTokens
from bizon.monitoring.monitor import AbstractMonitor
from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.discover import resolve_source_class
from bizon.source.source import AbstractSource

_CHECK_RETRIES = 10.0  # seconds
_GATE_TIMEOUT = 1.0  # seconds; the wait is repeated, this bounds how late a stop is seen


def run_producer(context: RunContext, links: Links) -> WorkerResult:
    """The producing half. Called once per run, on a thread or in a process of its own."""
    return _run(context, links, Role.PRODUCER, _produce)


def run_consumer(context: RunContext, links: Links) -> WorkerResult:
    """The consuming half. Called once per run, on a thread or in a process of its own."""
    try:
        return _run(context, links, Role.CONSUMER, _consume)
    finally:
        with suppress(OSError):  # the producing process may be gone
            links.gate.set()


def _run(
    context: RunContext, links: Links, half: Role, work: Callable[[RunContext, Links], WorkerResult]
) -> WorkerResult:
    try:
        with at_work(links.backend, links.stop):
            return work(context, links)
    except BaseException as error:
        if was_stopped(error):
            return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)
        if is_for_the_process(error):
            raise
        return _failed(context, links, error, STATUS_OF_HALF[half])
    finally:
        _close(links)


@contextmanager
def at_work(backend: AbstractBackend, stop: StopFlag) -> Iterator[None]:
    """Within, on this thread: waits end once ``stop`` is set, and refresh tokens that rotate are kept in the state."""
    with ends_with(stop), kept_by(StateKeepsTokens(backend)):
        yield


def check_source(source: AbstractSource) -> None:
    """Raise SourceConnectionError unless the source says that it can be reached. It is to answer soon: what is retried
    for minutes in the middle of a run is not, before anything is fetched."""
    with within(_CHECK_RETRIES):
        reachable, reason = source.check_connection()
    if reachable is not True:
        if (sign := stop_sign()) is not None and sign.is_set():
            raise StoppedError
        name = f"{source.config.name}.{source.config.stream}"
        raise SourceConnectionError(f"check_connection of source '{name}' failed: {reason or 'no reason was given'}")


def check_destination(destination: AbstractDestination, dead_letters: DeadLetters) -> None:
    """Raise DestinationConnectionError unless the destination, and that of the dead letters, can be written."""
    for each in filter(None, (destination, dead_letters.destination)):
        if each.check_connection() is not True:
            name = each.sync_metadata.destination_name
            raise DestinationConnectionError(f"check_connection of destination '{name}' failed: {each.describe()}")


def close_destination(destination: AbstractDestination, dead_letters: DeadLetters) -> None:
    """Close both, the second also when the first fails to."""
    try:
        destination.close()
    finally:
        if dead_letters.destination is not None:
            dead_letters.destination.close()


def announce_total(context: RunContext, links: Links, source: AbstractSource) -> None:
    """Say where the run starts, and ask the source how many records there are. For display only, so its failure is not
    the run's. A window is not asked about: the source counts the whole stream."""
    resume = context.resume
    links.progress.resumes(resume.next_iteration, resume.rows_written + resume.dead_letters)
    if context.incremental is not None:
        links.progress.expect(None)
        return
    try:
        total = source.get_total_records_count()
    except Exception as error:
        logger.warning(f"get_total_records_count failed, progress is shown without a total: {error}")
        return
    links.progress.expect(total)
    if total is not None:
        links.backend.set_total_records(context.resume.job_id, total)


@contextmanager
def source_callback(context: RunContext, source: AbstractSource | None = None) -> Iterator[AbstractSourceCallback]:
    """The callback of the source, for the consuming side. Builds a source only when it has a callback of its own."""
    overridden = resolve_source_class(context.config.source).get_source_callback_instance
    if overridden is AbstractSource.get_source_callback_instance:
        yield NoOpSourceCallback(context.config.source)
    elif source is not None:
        yield source.get_source_callback_instance()
    else:
        own = build_source(context.config)
        try:
            yield own.get_source_callback_instance()
        finally:
            own.close()


def track_end(monitor: AbstractMonitor, result: WorkerResult) -> WorkerResult:
    """Tell the monitor how a worker ended."""
    monitor.track_pipeline_status(result.status)
    return result


def _produce(context: RunContext, links: Links) -> WorkerResult:
    links.queue.connect()
    monitor = build_monitor(context)
    source = build_source(context.config)
    try:
        check_source(source)
        announce_total(context, links, source)
        producer = build_producer(context, links, build_fetcher(context, source, monitor))
        while not links.gate.wait(_GATE_TIMEOUT):
            if links.stop.is_set():
                return track_end(monitor, WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER))
        try:
            end = producer.run(exhausted=context.resume.exhausted)
        except BaseException:
            with suppress(QueueError):  # the consumer may be gone, which is then the error that counts
                producer.send_end(Signal.ABORTED)
            raise
    finally:
        source.close()
    deliver(links.queue, links.stop)
    links.queue.close()
    status = PipelineReturnStatus.KILLED_BY_RUNNER if end.stopped else PipelineReturnStatus.SUCCESS
    return track_end(monitor, WorkerResult(status, capped=end.capped))


def _consume(context: RunContext, links: Links) -> WorkerResult:
    links.queue.connect()
    monitor = build_monitor(context)
    with source_callback(context) as callback:
        destination = build_destination(context, links.backend, callback, monitor)
        dead_letters = build_dead_letters(context, destination, callback, monitor)
        try:
            check_destination(destination, dead_letters)
            loader = build_loader(context, links, destination, dead_letters, callback, monitor)
            loader.prepare()
            consumer = build_consumer(context, links, loader)
            links.gate.set()
            try:
                published = _publish(loader) if context.is_joined and context.resume.exhausted else consumer.run()
            except (TransformError, QueueError):
                consumer.finish()  # the pages before the fault are good
                raise
        finally:
            close_destination(destination, dead_letters)
    where, rejects = destination.describe(), dead_letters.describe()
    result = WorkerResult(PipelineReturnStatus.SUCCESS, published=published, where=where, dead_letters=rejects)
    return track_end(monitor, result)


def _publish(loader: Loader) -> bool:
    """All pages were committed by an earlier start: the producer need not say again that it is done."""
    loader.publish()
    return True


def _close(links: Links) -> None:
    """After all that counts was confirmed, or the run has failed anyway."""
    try:
        try:
            deliver(links.queue, links.stop)
        finally:
            links.queue.close()
    except QueueError as error:
        logger.debug(f"the queue was not closed in order: {error}")


def _failed(context: RunContext, links: Links, error: BaseException, default: PipelineReturnStatus) -> WorkerResult:
    status = status_of(error, default)
    if status is PipelineReturnStatus.QUEUE_ERROR and links.stop.is_set():
        return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)  # the other half ended first and said why
    links.stop.set()
    return failure(context, error, status)
