"""The two halves of a run: build the parts, run them, turn an error into a status, log it once.

A half that ends always wakes the other: the producer sends an end or closes the queue, the consumer sets the stop flag
and closes the queue.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError, TransformError
from bizon.common.interrupts import is_for_the_process
from bizon.common.kept_tokens import kept_by
from bizon.common.role import Role
from bizon.common.safe_log import logger
from bizon.common.waiting import ends_with, was_stopped
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import Producer, ProducerEnd, StopFlag, deliver
from bizon.engine.queue.models import Signal
from bizon.engine.runner.assembly import build_fetcher, build_monitor, build_producer
from bizon.engine.runner.faults import STATUS_OF_HALF, failure, status_of
from bizon.engine.runner.opening import opened_consumer, opened_source, source_callback
from bizon.engine.runner.tokens import StateTokenKeeper

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.consumer import Consumer
    from bizon.engine.pipeline.run import Run
    from bizon.engine.runner.models import Links, RunContext
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.source import AbstractSource

_GATE_TIMEOUT = 1.0  # seconds; the wait is repeated, so this bounds how late a stop is seen


def run_producer(context: "RunContext", links: "Links") -> WorkerResult:
    """The producing half. Called once per run, in a separate thread or process."""
    return _run(context, links, Role.PRODUCER, _produce)


def run_consumer(context: "RunContext", links: "Links") -> WorkerResult:
    """The consuming half. Called once per run, in a separate thread or process."""
    try:
        return _run(context, links, Role.CONSUMER, _consume)
    finally:
        with suppress(OSError):  # the producing process may be gone
            links.gate.set()


def _run(
    context: "RunContext", links: "Links", half: Role, work: Callable[["RunContext", "Links"], WorkerResult]
) -> WorkerResult:
    try:
        with worker_thread(links.backend, links.stop):
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
def worker_thread(backend: "AbstractBackend", stop: StopFlag) -> Iterator[None]:
    """Within, on this thread: waits end once ``stop`` is set, and refresh tokens that rotate are kept in the state."""
    with ends_with(stop), kept_by(StateTokenKeeper(backend)):
        yield


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
    except Exception as error:
        logger.warning(f"get_total_records_count failed, progress is shown without a total: {error}")
        return
    links.progress.expect(total)
    if total is not None:
        links.backend.set_total_records(context.run.job_id, total)


def track_end(monitor: "AbstractMonitor", result: WorkerResult) -> WorkerResult:
    """Tell the monitor how a worker ended."""
    monitor.track_pipeline_status(result.status)
    return result


def status_of_end(end: ProducerEnd) -> PipelineReturnStatus:
    """The status of a worker whose fetching ended without an error."""
    stopped = end is ProducerEnd.STOPPED
    return PipelineReturnStatus.KILLED_BY_RUNNER if stopped else PipelineReturnStatus.SUCCESS


def _produce(context: "RunContext", links: "Links") -> WorkerResult:
    links.queue.connect()
    monitor = build_monitor(context)
    with opened_source(context.config) as source:
        announce_total(context, links, source)
        producer = build_producer(context, links, build_fetcher(context, source, monitor))
        while not links.gate.wait(_GATE_TIMEOUT):
            if links.stop.is_set():
                return track_end(monitor, WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER))
        end = _fetch(producer, context.run.resume.exhausted)
    deliver(links.queue, links.stop)
    links.queue.close()
    return track_end(monitor, WorkerResult(status_of_end(end), capped=end is ProducerEnd.CAPPED))


def _fetch(producer: Producer, exhausted: bool) -> ProducerEnd:
    try:
        return producer.run(exhausted)
    except BaseException:
        with suppress(QueueError):  # the consumer may be gone, which is then the error that counts
            producer.send_end(Signal.ABORTED)
        raise


def _consume(context: "RunContext", links: "Links") -> WorkerResult:
    links.queue.connect()
    monitor = build_monitor(context)
    with (
        source_callback(context) as callback,
        opened_consumer(context, links, callback, monitor) as opened,
    ):
        links.gate.set()
        _write(context.run, opened.consumer)
    return track_end(monitor, opened.result(PipelineReturnStatus.SUCCESS))


def _write(run: "Run", consumer: "Consumer") -> None:
    if run.is_joined and run.resume.exhausted:
        consumer.publish()  # the producer need not send its end again
        return
    try:
        consumer.run()
    except (TransformError, QueueError):
        consumer.finish()  # the pages before the fault are good
        raise


def _close(links: "Links") -> None:
    """Close the queue. Every message that counts was confirmed by now, or the run has failed anyway."""
    try:
        try:
            deliver(links.queue, links.stop)
        finally:
            links.queue.close()
    except QueueError as error:
        logger.debug(f"the queue was not closed cleanly: {error}")


def _failed(context: "RunContext", links: "Links", error: BaseException, default: PipelineReturnStatus) -> WorkerResult:
    status = status_of(error, default)
    if status is PipelineReturnStatus.QUEUE_ERROR and links.stop.is_set():
        return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)  # the other half ended first and reported why
    links.stop.set()
    return failure(context, error, status)
