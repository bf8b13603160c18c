"""The interface of a runner: one run of one pipeline, from opening its job to closing it."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, ClassVar

from bizon.common.errors.errors import BackendError
from bizon.common.safe_log import FAILURE, logger
from bizon.common.scrub import Scrubber
from bizon.common.secret import iter_secrets, registry
from bizon.common.waiting import ends_with
from bizon.engine.backend.models import Role
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress, ProgressSnapshot, WorkerResult
from bizon.engine.runner.assembly import build_backend, build_queue, drop_spool, open_spool, spool_folder
from bizon.engine.runner.extras import check_extras
from bizon.engine.runner.jobs import close_job, open_job
from bizon.engine.runner.lease import held_by_role
from bizon.engine.runner.models import Gate, Links, RunContext, RunnerStatus
from bizon.engine.runner.planning import planned
from bizon.engine.runner.prerequisites import check_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.consumer import EndWatch
    from bizon.engine.pipeline.producer import StopFlag
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.engine.queue.spool import Spool
    from bizon.engine.runner.opened_job import OpenedJob
    from bizon.engine.runner.windows import Scope

PAGE_GRACE = 0.5
"""Seconds that a page in flight gets when an exception in the main thread ends the run."""


class AbstractRunner(ABC):
    """Runs a pipeline once. An adapter decides where the workers live; the rules of the job are the same for all.

    ``stop`` may be called from any thread and from a signal handler. As a library a runner touches no signal handler,
    no log sink and no environment variable. ``roles``: the roles it starts, and whose leases it needs.
    """

    roles: ClassVar[tuple[Role, ...]] = (Role.PRODUCER, Role.CONSUMER)
    is_alone: ClassVar[bool] = True
    """Whether no other run of the pipeline may be in progress."""

    def __init__(
        self,
        config: "BizonConfig",
        secrets: frozenset[str] = frozenset(),
        *,
        stop: "StopFlag | None" = None,
        progress: Progress | None = None,
    ) -> None:
        """``stop`` and ``progress``: given by an adapter whose workers live in other processes."""
        self.bizon_config = config
        self.secrets = secrets
        self._stopping = Event()
        self._stop: StopFlag = stop or self._stopping
        self._progress = progress or Progress()
        self._stop_requested = False
        self._lost: str | None = None
        self._ended: dict[str, WorkerResult] = {}
        """Results of workers that an exception in the main thread ended; set by the adapter before it re-raises."""
        self.scope: Scope | None = None
        """The part of the stream to fetch, by default what is new; set before ``run``."""
        self.open_state: Callable[[], AbstractBackend] = partial(build_backend, config)
        """Opens the state, which the run closes; set before ``run`` for one of several runs that share it."""
        self.join_id = ""
        """For a run that joins a job: the name that all commands of the job are given, if any; set before ``run``."""

    def run(self, *, raise_on_failure: bool = False) -> RunnerStatus:
        """Move the stream, or the rest of it. Returns how it ended; raises only when no job could be opened.

        With ``raise_on_failure`` it returns only after a success, and raises RunFailedError otherwise. Without it,
        check ``is_success``.
        """
        status = self._run()
        return status.raise_on_failure() if raise_on_failure else status

    def _run(self) -> RunnerStatus:
        self._check_host()
        check_extras(self.bizon_config, self.roles)
        with (
            registry.known_while(self.secrets),
            self._opened_state() as backend,
            ExitStack() as leases,
        ):
            for role in self.roles if self.is_alone else ():
                leases.enter_context(held_by_role(backend, self.bizon_config, role, self._lose))
            return self._run_jobs(backend)

    def _opened_state(self) -> "AbstractBackend":
        with ends_with(self._stopping):  # a stop shortens the wait for a state that is unreachable
            return self.open_state()

    def stop(self) -> None:
        """Ask the run to end: the page in flight is finished, flushed and committed, nothing is published."""
        self._stop_requested = True
        self._stopping.set()
        self._stop.set()

    def progress(self) -> ProgressSnapshot:
        """The progress of the run. May be called from any thread."""
        return self._progress.snapshot()

    def _check_host(self) -> None:
        """Raise ConfigError when this process cannot host the workers, before anything is opened."""
        check_threads()

    def _planned_work(self, context: RunContext, backend: "AbstractBackend") -> dict[str, WorkerResult]:
        """The work, once it is known in which partitions."""
        found = planned(context, backend, self._progress, self._stop)
        return {Role.PRODUCER.value: found} if isinstance(found, WorkerResult) else self._work(found, backend)

    @abstractmethod
    def _work(self, context: RunContext, backend: "AbstractBackend") -> dict[str, WorkerResult]:
        """Run the workers until all have ended: ``{"producer": ..., "consumer": ...}`` or ``{"stream": ...}``."""

    def _open_queue(self, role: Role) -> "AbstractQueue":
        """For adapters: the queue of one role, outside the run, not connected yet."""
        return build_queue(self.bizon_config, role)

    def _open_spool(self, context: RunContext) -> "AbstractContextManager[Spool | None]":
        """For adapters: within, the spool of the consumer, if it has one."""
        return open_spool(context)

    def _links(
        self,
        queue: "AbstractQueue",
        backend: "AbstractBackend",
        stop: "StopFlag | None" = None,
        gate: Gate | None = None,
        watch: "EndWatch | None" = None,
    ) -> Links:
        """For adapters: how a worker of this process reaches the others; by default the stop flag of the run."""
        return Links(queue, backend, stop or self._stop, gate or Event(), self._progress, watch)

    def _run_jobs(self, backend: "AbstractBackend") -> RunnerStatus:
        while True:
            opened = open_job(backend, self.bizon_config, scope=self.scope)
            status = self._run_job(backend, opened)
            if (
                status.watermark_refused
                and self.bizon_config.source.force_ignore_checkpoint
                and self._may_open_another()
            ):
                backend.request_stream_reset(opened.run.key)
            elif not (opened.then_another and status.published):
                return status

    def _may_open_another(self) -> bool:
        """Whether the run may open another job, after one that was refused only because of its output."""
        if self._stop_requested or self._lost:
            return False
        self._stop.clear()
        self._stopping.clear()
        return True

    def _run_job(self, backend: "AbstractBackend", opened: "OpenedJob") -> RunnerStatus:
        context = self._context_of(opened)
        context = replace(context, spool=spool_folder(self.bizon_config, backend, opened.run))
        try:
            status = self._status(opened, self._planned_work(context, backend))
        except BaseException as error:
            _close(backend, opened, self._interrupted(opened, error))
            raise
        status = _close(backend, opened, status)
        if status.published:
            drop_spool(context)
        return status

    def _context_of(self, opened: "OpenedJob") -> RunContext:
        """The context of the workers of a job. Pages are not spooled."""
        config = self.bizon_config
        secrets = self.secrets.union(registry.learned(), iter_secrets(config))
        return RunContext(config, opened.run, opened.incremental, opened.replaces, secrets=secrets)

    def _ended_early(self, job_id: str) -> RunnerStatus:
        """The status of a run that ended while it waited for others."""
        why = "stopped on request" if self._stop_requested else f"another {self.roles[0]} has taken over"
        killed = PipelineReturnStatus.KILLED_BY_RUNNER
        producer, consumer = (killed if role in self.roles else None for role in (Role.PRODUCER, Role.CONSUMER))
        return RunnerStatus(job_id, producer, consumer, error=why, interrupted=self._stop_requested)

    def _interrupted(self, opened: "OpenedJob", error: BaseException) -> RunnerStatus:
        """How a run ended that an exception in the main thread cut short: a time limit, Ctrl-C in a notebook, or a
        fault of the runner. An output that a worker published by then counts as published."""
        status = self._status(opened, self._ended)
        if status.published:
            return status
        cause = ": ".join(filter(None, (type(error).__name__, str(error))))
        text = Scrubber(self.secrets).brief(f"ended by {cause}; run again to resume")
        return RunnerStatus(opened.job.id, stream=PipelineReturnStatus.KILLED_BY_RUNNER, error=text)

    def _lose(self, reason: str) -> None:
        """The lease is gone: stop, without counting it as a stop on request."""
        logger.bind(**{FAILURE: True}).error(reason)
        self._lost = reason
        self._stop.set()

    def _status(self, opened: "OpenedJob", results: dict[str, WorkerResult]) -> RunnerStatus:
        scrub, resume = Scrubber(self.secrets), opened.run.resume
        errors = (self._lost, *(result.error for result in results.values()))
        error = scrub.brief(" | ".join(scrub.brief(each) for each in errors if each is not None))
        success = all(result.status is PipelineReturnStatus.SUCCESS for result in results.values())
        published = success and any(result.published for result in results.values())
        is_done = published or (success and self.roles == (Role.PRODUCER,))  # it publishes nothing
        interrupted = self._stop_requested and not is_done and not error
        statuses = {name: result.status for name, result in results.items()}
        status = RunnerStatus(
            job_id=opened.job.id,
            producer=statuses.get("producer"),
            consumer=statuses.get("consumer"),
            stream=statuses.get("stream"),
            error=error or ("stopped on request, run again to resume" if interrupted else None),
            published=published,
            capped=success and any(result.capped for result in results.values()),
            interrupted=interrupted,
            records_fetched=self.progress().records_fetched,
            records_written=self.progress().records_written,
            records_rejected=self.progress().records_rejected,
            values_rescued=self.progress().values_rescued,
            where=next((result.where for result in results.values() if result.where is not None), None),
            dead_letters=next((result.dead_letters for result in results.values() if result.dead_letters), None),
            overtaken=any(result.overtaken for result in results.values()),
            misses_package=any(result.misses_package for result in results.values()),
            watermark_refused=any(result.watermark_refused for result in results.values()),
            refused=any(result.refused for result in results.values()),
            resumed_from=None if resume.last_iteration is None else resume.next_iteration,
        )
        logger.debug(status.to_string())
        return status


def _close(backend: "AbstractBackend", opened: "OpenedJob", status: RunnerStatus) -> RunnerStatus:
    """Close the job. A failure is reported even when the state cannot record it: the next start finds the job as after
    a kill."""
    try:
        return close_job(backend, opened, status)
    except BackendError as error:
        if status.error is None:
            raise
        logger.warning(f"Job {opened.job.id} stays open: {error}")
        return status
