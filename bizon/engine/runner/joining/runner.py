"""A command that works on a job together with others, on any hosts: ``bizon run config.yml --join``.

Each command takes parts of the job by lease, runs a small pipeline for each, and commits its pages. When no part is
left for it, it waits for the others, since one of them may die and leave parts behind; one command publishes.
"""

from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from bizon.engine.runner.jobs import close_shared_job
from bizon.engine.runner.joining.opening import Joined, Opening
from bizon.engine.runner.joining.publishing import published
from bizon.engine.runner.joining.slots import is_at_work, take_parts
from bizon.engine.runner.planning import parts_of_the_cap
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner
from bizon.engine.runner.shares import in_share
from bizon.engine.runner.started import started
from bizon.engine.runner.worker_results import merged_slots, split_by_role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.models import WorkerResult
    from bizon.engine.runner.models import RunContext, RunnerStatus
    from bizon.engine.runner.opened_job import OpenedJob


class JoinedRunner(AbstractRunner):
    """Works on ``max_parallel_partitions`` parts at once, each on threads of its own."""

    is_alone = False

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
        parts = (self._progress, self._stopping, self._context_of)
        opening = Opening(backend, self.bizon_config, self.scope, self.join_id, *parts)
        while (joined := opening.joined()) is not None:
            status = self._run_joined(backend, joined)
            if not (joined.opened.then_another and status.is_success and not status.interrupted):
                return status
        return self._ended_early("")

    def _run_joined(self, backend: "AbstractBackend", joined: Joined) -> "RunnerStatus":
        opened, job_id = joined.opened, joined.opened.job.id
        if joined.failed is not None:
            return self._closed(backend, opened, split_by_role(joined.failed))
        with joined.lease.kept():
            try:
                results = self._work(self._context_of(opened), backend)
            except BaseException as error:
                self._close(backend, job_id, self._interrupted(opened, error))
                raise
            status = self._closed(backend, opened, results)
        if _is_over(backend, job_id):
            joined.lease.release()
        return status

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> "dict[str, WorkerResult]":
        caps = list(parts_of_the_cap(_with_workers(context, self._most_workers)))
        result = merged_slots(self._worked(replace(context, config=in_share(context.config, len(caps))), caps, backend))
        if result.is_success and not result.capped and not self._stop.is_set():
            last = published(context, backend, self._stopping)
            result = last._replace(parts=result.parts, where=last.where or result.where)
        return split_by_role(result)

    @property
    def _most_workers(self) -> int:
        """How many workers this command may have."""
        return self.bizon_config.engine.runner.config.max_parallel_partitions

    def _worked(
        self, context: "RunContext", caps: list[int | None], backend: "AbstractBackend"
    ) -> "list[WorkerResult]":
        """Work until no part is left for this command, with a worker for each of ``caps``: how many pages it may fetch.
        How each of them ended."""
        is_cut_short, futures = Event(), list[Future["WorkerResult"]]()
        with ExitStack() as until_ended:
            until_ended.callback(self._end_workers, futures, is_cut_short)
            for cap in caps:
                counters = [0] * self._progress.SLOTS
                self._progress.lane(counters)
                work = partial(take_parts, context, backend, self._stop, counters, cap, is_cut_short)
                futures.append(started(work, "bizon-part"))
            waiting = {*futures}
            while waiting:  # in slices, so that the main thread also gets to handle signals
                interval = context.config.engine.runner.config.is_alive_check_interval
                _done, waiting = wait(waiting, interval, return_when=FIRST_COMPLETED)
        return [future.result() for future in futures]

    def _end_workers(self, futures: "Sequence[Future[WorkerResult]]", is_cut_short: Event) -> None:
        """An exception in the main thread ends the workers: pages in flight are abandoned, writes in flight are waited
        for. Otherwise they have ended by themselves."""
        if all(future.done() for future in futures):
            return
        self._stop.set()
        self._stopping.set()
        wait(futures, PAGE_GRACE)
        is_cut_short.set()
        wait(futures)

    def _closed(
        self, backend: "AbstractBackend", opened: "OpenedJob", results: "dict[str, WorkerResult]"
    ) -> "RunnerStatus":
        status = self._status(opened, results)
        self._close(backend, opened.job.id, status)
        return status._replace(parts=next(result.parts for result in results.values()))

    def _close(self, backend: "AbstractBackend", job_id: str, status: "RunnerStatus") -> None:
        close_shared_job(backend, job_id, status, goes_on=is_at_work(backend, job_id))


def _is_over(backend: "AbstractBackend", job_id: str) -> bool:
    job = backend.get_stream_job_by_id(job_id)
    return job is None or not job.is_resumable


def _with_workers(context: "RunContext", configured: int) -> "RunContext":
    """As many workers as are configured, unless the job has fewer parts, or less than a page for each."""
    most, cap = (configured, len(context.run.partitions)), context.config.source.max_iterations
    return replace(context, producers=max(1, min(most if cap is None else (*most, cap))))
