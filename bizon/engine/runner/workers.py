"""The two halves of a run on their threads: an error becomes a status and is logged once.

A half that ends always wakes the other: the producer sends an end or closes the queue, the consumer sets the stop flag
and closes the queue.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.common.interrupts import is_for_the_process
from bizon.common.kept_tokens import kept_by
from bizon.common.safe_log import logger
from bizon.common.waiting import ends_with, was_stopped
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import StopFlag, deliver
from bizon.engine.runner.faults import failure, status_of
from bizon.engine.runner.fetching import produce
from bizon.engine.runner.tokens import StateTokenKeeper
from bizon.engine.runner.writing import consume

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.runner.models import Links, RunContext


def run_producer(context: "RunContext", links: "Links") -> WorkerResult:
    """The producing half. Called once per run, in a separate thread or process."""
    return _run(context, links, PipelineReturnStatus.SOURCE_ERROR, produce)


def run_consumer(context: "RunContext", links: "Links") -> WorkerResult:
    """The consuming half. Called once per run, in a separate thread or process."""
    try:
        return _run(context, links, PipelineReturnStatus.DESTINATION_ERROR, consume)
    finally:
        with suppress(OSError):  # the producing process may be gone
            links.gate.set()


def guarded(
    backend: "AbstractBackend",
    stop: StopFlag,
    work: Callable[[], WorkerResult],
    failed: Callable[[BaseException], WorkerResult],
) -> WorkerResult:
    """The result of ``work``, on this thread, or of ``failed`` for the error that ended it. Meanwhile waits end once
    ``stop`` is set, and refresh tokens that rotate are kept in the state. Exceptions for the whole process pass."""
    try:
        with ends_with(stop), kept_by(StateTokenKeeper(backend)):
            return work()
    except BaseException as error:
        if was_stopped(error):
            return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)
        if is_for_the_process(error):
            raise
        return failed(error)


def _run(
    context: "RunContext",
    links: "Links",
    default: PipelineReturnStatus,
    work: "Callable[[RunContext, Links], WorkerResult]",
) -> WorkerResult:
    def failed(error: BaseException) -> WorkerResult:
        status = status_of(error, default)
        if status is PipelineReturnStatus.QUEUE_ERROR and links.stop.is_set():
            return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)  # the other half ended first and reported why
        links.stop.set()
        return failure(context, error, status)

    try:
        return guarded(links.backend, links.stop, lambda: work(context, links), failed)
    finally:
        _close(links)


def _close(links: "Links") -> None:
    """Close the queue. Every message that counts was confirmed by now, or the run has failed anyway."""
    try:
        try:
            deliver(links.queue, links.stop)
        finally:
            links.queue.close()
    except QueueError as error:
        logger.debug(f"the queue was not closed cleanly: {error}")
