"""The default runner: one producing and one consuming thread; the main thread waits."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from threading import Event, Thread

from bizon.common.interrupts import in_words
from bizon.common.role import Role
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.models import WorkerResult
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.engine.queue.spool import Spool
from bizon.engine.runner.assembly import build_queue, memory_budget, open_spool
from bizon.engine.runner.faults import STATUS_OF_HALF
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner
from bizon.engine.runner.watch import ProducerState, ProducerWatch, state_of
from bizon.engine.runner.workers import run_consumer, run_producer

_Worker = Callable[[RunContext, Links], WorkerResult]


class ThreadRunner(AbstractRunner):
    """Both halves share one queue and one backend in memory.

    An exception in the main thread ends the run: the page in flight is given up, a write that is under way is waited
    for, since only it knows what has become of it. Then the exception is passed on.
    """

    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        settings = context.config.engine.runner.config
        with open_spool(context) as spool:
            sending, receiving = _queues(context, spool)
            links = Links(sending, backend, self._stop, Event(), self._progress)
            is_cut_short = Event()
            with self._ended_by_exceptions(is_cut_short) as workers:
                producer = workers["producer"] = _started(run_producer, context, links)
                self._stopping.wait(settings.consumer_start_delay)
                watch = ProducerWatch(lambda: _state(producer), is_drained=receiving.is_drained)

                def is_over(was_empty: bool) -> bool:
                    return is_cut_short.is_set() or watch(was_empty)

                theirs = links._replace(queue=receiving, is_over=is_over)
                workers["consumer"] = _started(run_consumer, context, theirs)
                waiting = set(workers.values())
                while waiting:  # in slices, so that the main thread also gets to handle signals
                    _done, waiting = wait(waiting, settings.is_alive_check_interval, return_when=FIRST_COMPLETED)
        return _results(workers)

    @contextmanager
    def _ended_by_exceptions(self, is_cut_short: Event) -> Iterator[dict[str, Future[WorkerResult]]]:
        """Within: an exception ends the workers that are put into the dict, and what they say is noted."""
        workers: dict[str, Future[WorkerResult]] = {}
        try:
            yield workers
        except BaseException:
            self._stop.set()
            self._stopping.set()
            wait(workers.values(), PAGE_GRACE)
            is_cut_short.set()
            if "consumer" in workers:
                wait([workers["consumer"]])
            self._ended = _results({name: future for name, future in workers.items() if future.done()})
            raise


def _started(work: _Worker, context: RunContext, links: Links) -> Future[WorkerResult]:
    """The result to come of a worker on a thread of its own, which does not keep the interpreter from ending."""
    future: Future[WorkerResult] = Future()

    def run() -> None:
        try:
            future.set_result(work(context, links))
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are told to the main thread too
            future.set_exception(error)

    Thread(target=run, name=f"bizon-{work.__name__}", daemon=True).start()
    return future


def _queues(context: RunContext, spool: Spool | None) -> tuple[AbstractQueue, AbstractQueue]:
    """The producer's and the consumer's end: the same, unless pages leave the run."""
    config = context.config
    if config.engine.queue.is_broker:
        producer, consumer = (build_queue(config, context.key, half) for half in (Role.PRODUCER, Role.CONSUMER))
        return producer, consumer
    shared = QueueFactory.get_queue(config.engine.queue, budget=memory_budget(config), spool=spool)
    return shared, shared


def _state(producer: Future[WorkerResult]) -> ProducerState:
    if not producer.done():
        return ProducerState.AT_WORK
    return state_of(_result(producer, Role.PRODUCER))


def _results(workers: dict[str, Future[WorkerResult]]) -> dict[str, WorkerResult]:
    return {name: _result(future, Role(name)) for name, future in workers.items()}


def _result(future: Future[WorkerResult], half: Role) -> WorkerResult:
    """The worker's own result, or what stands for it when it left by SystemExit or the like."""
    error = future.exception()
    if error is None:
        return future.result()
    return WorkerResult(STATUS_OF_HALF[half], error=in_words(error))
