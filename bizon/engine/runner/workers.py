"""The two roles of a run on their threads: an error becomes a status and is logged once.

A role that ends always wakes the other: the producer sends an end or closes the queue, the consumer sets the stop flag
and closes the queue.
"""

import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bizon.common.errors.errors import (
    BizonError,
    MissingDependencyError,
    OvertakenError,
    QueueError,
    RunRefusedError,
    SourceFetchError,
    WatermarkError,
)
from bizon.common.interrupts import in_words, is_for_the_process
from bizon.common.safe_log import FAILURE, logger
from bizon.common.waiting import ends_with, was_stopped
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import StopFlag, deliver
from bizon.engine.runner.fetching import produce, produce_share
from bizon.engine.runner.tokens import tokens_kept_in
from bizon.engine.runner.writing import consume

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.runner.models import Links, RunContext

_BIZON = Path(__file__).parents[2]
_NOT_A_PLACE = ("<string>", contextlib.__file__)  # snippets, and the frames between two of bizon's context managers
_STATUS_OF = {status.failure_class: status for status in PipelineReturnStatus if status.failure_class is not None}


def run_producer(context: "RunContext", links: "Links") -> WorkerResult:
    """The producer, or one of the producers of partitions. Called once per run, in a separate thread or
    process."""
    share = links.share
    work = produce if share is None else lambda context, links: produce_share(context, links, share)
    return _run(context, links, PipelineReturnStatus.SOURCE_ERROR, work)


def run_consumer(context: "RunContext", links: "Links") -> WorkerResult:
    """The consumer. Called once per run, in a separate thread or process."""
    try:
        return _run(context, links, PipelineReturnStatus.DESTINATION_ERROR, consume)
    finally:
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
        with ends_with(stop), tokens_kept_in(backend):
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
            return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)  # the other role ended first and reported why
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


def status_of(error: BaseException, default: PipelineReturnStatus) -> PipelineReturnStatus:
    """The status an error stands for; ``default`` for an error that names no part of the run."""
    return _STATUS_OF.get(error.failure_class, default) if isinstance(error, BizonError) else default


def status_of_role(role: "Role") -> PipelineReturnStatus:
    """The status of a role that an error outside bizon's tree ended."""
    return PipelineReturnStatus.SOURCE_ERROR if role.fetches else PipelineReturnStatus.DESTINATION_ERROR


def unhandled(role: "Role", error: BaseException) -> WorkerResult:
    """The result of a role that an error ended outside its worker, as SystemExit does."""
    return WorkerResult(status_of(error, status_of_role(role)), error=in_words(error))


def log_failure(context: "RunContext", error: BaseException) -> str:
    """Log an error once and return its text. For a mistake in code the place is logged too, and the traceback at level
    DEBUG."""
    where = f"{context.run.key.source_name}.{context.run.key.stream_name}, job {context.run.job_id}"
    text = str(error) if isinstance(error, BizonError) else in_words(error)
    mistake = _mistake_in_code(error)
    if mistake is not None:
        logger.opt(exception=mistake).debug(f"{where}: the traceback")
        if place := _place_of(mistake):
            logger.error(f"{where}: raised at {place}; --log-level DEBUG shows the traceback")
    logger.bind(**{FAILURE: True}).error(f"{where}: {text}")
    return context.brief(text)


def failure(context: "RunContext", error: BaseException, status: PipelineReturnStatus) -> WorkerResult:
    """The result of a worker that an error ended; the error is logged once."""
    if isinstance(error, OvertakenError):
        is_part = context.run.resume.partition is not None  # of a joined job; its worker says so, and takes another one
        logger.log("DEBUG" if is_part else "INFO", str(error))
        return WorkerResult(status, error=str(error), overtaken=True)
    if isinstance(error, WatermarkError):
        if context.config.source.force_ignore_checkpoint:
            logger.info("The watermark belongs to another output: the run loads everything")
            return WorkerResult(status, error=str(error), watermark_refused=True)
        return WorkerResult(status, error=log_failure(context, error), watermark_refused=True)
    return WorkerResult(
        status,
        error=log_failure(context, error),
        refused=isinstance(error, RunRefusedError),
        misses_package=isinstance(error, MissingDependencyError),
    )


def _mistake_in_code(error: BaseException) -> BaseException | None:
    """The error whose place a connector's author needs to see: one that is neither bizon's nor the network's."""
    cause = error.__cause__ if isinstance(error, SourceFetchError) else error
    return None if isinstance(cause, BizonError | OSError) else cause


def _place_of(mistake: BaseException) -> str:
    """``source.py:36, in get``: the deepest line of the connector that bizon called; empty for a line of bizon."""
    frames = [frame for frame in traceback.extract_tb(mistake.__traceback__) if frame.filename not in _NOT_A_PLACE]
    called = next((frame for frame in frames if _BIZON not in Path(frame.filename).parents), None)
    if called is None:
        return ""
    folder = Path(called.filename).parent
    last = [frame for frame in frames if folder in Path(frame.filename).parents][-1]
    return f"{last.filename}:{last.lineno}, in {last.name}"
