"""The default runner: one producing thread, or one for each of several partitions, and one consuming thread; the main
thread waits."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from bizon.engine.queue.adapters.python_queue.lanes import lanes_of
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.runner.assembly import build_shared_queue
from bizon.engine.runner.planning import shares
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch, state_of
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner
from bizon.engine.runner.started import started
from bizon.engine.runner.worker_results import merged, merged_by_role
from bizon.engine.runner.workers import run_consumer, run_producer, unhandled

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.pipeline.models import WorkerResult
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.engine.queue.spool import Spool
    from bizon.engine.runner.models import Links, RunContext

_Working = tuple["Role", Future["WorkerResult"]]


class ThreadRunner(AbstractRunner):
    """All workers share one queue and one backend in memory.

    An exception in the main thread ends the run: the page in flight is abandoned, and a write in flight is waited for,
    since only it knows its result. Then the exception is re-raised.
    """

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> "dict[str, WorkerResult]":
        settings = context.config.engine.runner.config
        with self._open_spool(context) as spool:
            sending, receiving = self._queues(context, spool)
            links = self._links(receiving, backend)
            is_cut_short = Event()
            producing, consuming = self.roles
            with self._ended_by_exceptions(is_cut_short) as workers:
                for each in self._producers(context, links, sending):
                    workers.append((producing, started(partial(run_producer, context, each), "bizon-run_producer")))
                producers = [future for _, future in workers]
                self._stopping.wait(settings.consumer_start_delay)
                watch = ProducerWatch(
                    lambda: _state(producing, producers), is_drained=receiving.is_drained, cut_short=is_cut_short
                )
                consumer = partial(run_consumer, context, links._replace(watch=watch))
                workers.append((consuming, started(consumer, "bizon-run_consumer")))
                waiting = {future for _, future in workers}
                while waiting:  # in slices, so that the main thread also gets to handle signals
                    _done, waiting = wait(waiting, settings.is_alive_check_interval, return_when=FIRST_COMPLETED)
        return _results(workers)

    def _queues(self, context: "RunContext", spool: "Spool | None") -> "tuple[AbstractQueue, AbstractQueue]":
        """The producer's and the consumer's end: the same object unless a broker is between them."""
        if self.bizon_config.engine.queue.is_broker:
            sending, receiving = map(self._open_queue, self.roles)
            return sending, receiving
        shared = build_shared_queue(self.bizon_config, spool, context.run.resume.next_iteration)
        return shared, shared

    def _producers(self, context: "RunContext", links: "Links", queue: "AbstractQueue") -> "list[Links]":
        """The links of each producer: one, or one for each share of the partitions."""
        if not context.run.partitions or not isinstance(queue, PythonQueue):
            return [links._replace(queue=queue)]
        return [
            links._replace(queue=lane, progress=self._progress.lane(), share=share)
            for lane, share in zip(lanes_of(queue, context.producers), shares(context), strict=True)
        ]

    @contextmanager
    def _ended_by_exceptions(self, is_cut_short: Event) -> Iterator[list[_Working]]:
        """Within: an exception ends the workers in the list, and their results are kept."""
        workers: list[_Working] = []
        try:
            yield workers
        except BaseException:
            self._stop.set()
            self._stopping.set()
            wait([future for _, future in workers], PAGE_GRACE)
            is_cut_short.set()
            wait([future for role, future in workers if not role.fetches])
            self._ended = _results([(role, future) for role, future in workers if future.done()])
            raise


def _state(role: "Role", producers: "list[Future[WorkerResult]]") -> ProducerState:
    if not all(producer.done() for producer in producers):
        return ProducerState.RUNNING
    return state_of(merged([_result(producer, role) for producer in producers]))


def _results(workers: list[_Working]) -> "dict[str, WorkerResult]":
    return merged_by_role((role, _result(future, role)) for role, future in workers)


def _result(future: "Future[WorkerResult]", role: "Role") -> "WorkerResult":
    """The worker's own result, or one made from the SystemExit or the like that ended it."""
    error = future.exception()
    if error is None:
        return future.result()
    return unhandled(role, error)
