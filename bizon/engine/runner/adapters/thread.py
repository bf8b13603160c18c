"""The default runner: one producing and one consuming thread; the main thread waits."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread
from typing import TYPE_CHECKING

from bizon.engine.pipeline.models import WorkerResult
from bizon.engine.runner.assembly import build_shared_queue
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch, state_of
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner
from bizon.engine.runner.workers import run_consumer, run_producer, unhandled

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.engine.queue.spool import Spool

_Worker = Callable[[RunContext, Links], WorkerResult]


class ThreadRunner(AbstractRunner):
    """Both halves share one queue and one backend in memory.

    An exception in the main thread ends the run: the page in flight is abandoned, and a write in flight is waited for,
    since only it knows its result. Then the exception is re-raised.
    """

    def _work(self, context: RunContext, backend: "AbstractBackend") -> dict[str, WorkerResult]:
        settings = context.config.engine.runner.config
        with self._open_spool(context) as spool:
            sending, receiving = self._queues(spool)
            links = self._links(sending, backend)
            is_cut_short = Event()
            producing, consuming = self.halves
            with self._ended_by_exceptions(is_cut_short) as workers:
                producer = workers[producing] = _started(run_producer, context, links)
                self._stopping.wait(settings.consumer_start_delay)
                watch = ProducerWatch(
                    lambda: _state(producing, producer), is_drained=receiving.is_drained, cut_short=is_cut_short
                )
                workers[consuming] = _started(run_consumer, context, links._replace(queue=receiving, watch=watch))
                waiting = set(workers.values())
                while waiting:  # in slices, so that the main thread also gets to handle signals
                    _done, waiting = wait(waiting, settings.is_alive_check_interval, return_when=FIRST_COMPLETED)
        return _results(workers)

    def _queues(self, spool: "Spool | None") -> "tuple[AbstractQueue, AbstractQueue]":
        """The producer's and the consumer's end: the same object unless a broker is between them."""
        if self.bizon_config.engine.queue.is_broker:
            sending, receiving = map(self._open_queue, self.halves)
            return sending, receiving
        shared = build_shared_queue(self.bizon_config, spool)
        return shared, shared

    @contextmanager
    def _ended_by_exceptions(self, is_cut_short: Event) -> Iterator[dict["Role", Future[WorkerResult]]]:
        """Within: an exception ends the workers in the dict, and their results are kept."""
        workers: dict[Role, Future[WorkerResult]] = {}
        try:
            yield workers
        except BaseException:
            self._stop.set()
            self._stopping.set()
            wait(workers.values(), PAGE_GRACE)
            is_cut_short.set()
            wait([future for half, future in workers.items() if not half.fetches])
            self._ended = _results({half: future for half, future in workers.items() if future.done()})
            raise


def _started(work: _Worker, context: RunContext, links: Links) -> Future[WorkerResult]:
    """The future result of a worker that runs on a new daemon thread, whose log records name the stream as here."""
    future: Future[WorkerResult] = Future()
    surroundings = copy_context()

    def run() -> None:
        try:
            future.set_result(work(context, links))
        except BaseException as error:  # noqa: BLE001 - the main thread handles SystemExit and the like too
            future.set_exception(error)

    Thread(target=surroundings.run, args=(run,), name=f"bizon-{work.__name__}", daemon=True).start()
    return future


def _state(half: "Role", producer: Future[WorkerResult]) -> ProducerState:
    if not producer.done():
        return ProducerState.RUNNING
    return state_of(_result(producer, half))


def _results(workers: dict["Role", Future[WorkerResult]]) -> dict[str, WorkerResult]:
    return {half.value: _result(future, half) for half, future in workers.items()}


def _result(future: Future[WorkerResult], half: "Role") -> WorkerResult:
    """The worker's own result, or one made from the SystemExit or the like that ended it."""
    error = future.exception()
    if error is None:
        return future.result()
    return unhandled(half, error)
