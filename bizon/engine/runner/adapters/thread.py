"""The default runner: one producing and one consuming thread; the main thread waits."""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Event

from bizon.common.interrupts import in_words
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import Half
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.engine.queue.spool import Spool
from bizon.engine.runner.assembly import build_queue, memory_budget, open_spool
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.runner import AbstractRunner
from bizon.engine.runner.watch import ProducerState, ProducerWatch, state_of
from bizon.engine.runner.workers import run_consumer, run_producer


class ThreadRunner(AbstractRunner):
    """Both halves share one queue and one backend in memory."""

    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        settings = context.config.engine.runner.config
        with (
            open_spool(context) as spool,
            ThreadPoolExecutor(settings.max_workers, thread_name_prefix="bizon") as pool,
        ):
            sending, receiving = _queues(context, spool)
            links = Links(sending, backend, self._stop, Event(), self._progress)
            producer = pool.submit(run_producer, context, links)
            self._stopping.wait(settings.consumer_start_delay)
            watch = ProducerWatch(lambda: _state(producer), is_drained=receiving.is_drained)
            consumer = pool.submit(run_consumer, context, replace(links, queue=receiving, is_over=watch))
            waiting: set[Future[WorkerResult]] = {producer, consumer}
            while waiting:  # in slices, so that the main thread also gets to handle signals
                _done, waiting = wait(waiting, settings.is_alive_check_interval, return_when=FIRST_COMPLETED)
        return {
            "producer": _result(producer, PipelineReturnStatus.SOURCE_ERROR),
            "consumer": _result(consumer, PipelineReturnStatus.DESTINATION_ERROR),
        }


def _queues(context: RunContext, spool: Spool | None) -> tuple[AbstractQueue, AbstractQueue]:
    """The producer's and the consumer's end: the same, unless pages leave the run."""
    config = context.config
    if config.engine.queue.is_broker:
        producer, consumer = (build_queue(config, context.key, half) for half in (Half.PRODUCER, Half.CONSUMER))
        return producer, consumer
    shared = QueueFactory.get_queue(config.engine.queue, budget=memory_budget(config), spool=spool)
    return shared, shared


def _state(producer: Future[WorkerResult]) -> ProducerState:
    if not producer.done():
        return ProducerState.AT_WORK
    return state_of(_result(producer, PipelineReturnStatus.SOURCE_ERROR))


def _result(future: Future[WorkerResult], status: PipelineReturnStatus) -> WorkerResult:
    """The worker's own result, or what stands for it when it left by SystemExit or the like."""
    error = future.exception()
    if error is None:
        return future.result()
    return WorkerResult(status, error=in_words(error))
