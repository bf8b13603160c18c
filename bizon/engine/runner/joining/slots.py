"""Takes the parts of a joined job, works on them, and gives back those that are not finished."""

from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger
from bizon.common.ticking import Ticker
from bizon.engine.pipeline.models import Parts, PipelineReturnStatus, Progress, WorkerResult
from bizon.engine.runner.joining.part_work import PartWork
from bizon.engine.runner.lease import LOOK_EVERY, is_dead, this_process
from bizon.engine.runner.workers import failure, guarded, status_of

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import TakenPart
    from bizon.engine.pipeline.producer import StopFlag
    from bizon.engine.runner.models import RunContext

_DONE = WorkerResult(PipelineReturnStatus.SUCCESS)


def take_parts(
    context: "RunContext",
    backend: "AbstractBackend",
    stop: "StopFlag",
    counters: MutableSequence[int],
    most_pages: int | None,
    cut_short: Event,
) -> WorkerResult:
    """One worker of a command, in a thread or in a process: work on one part after the other until none is left, here
    or elsewhere. ``counters``: of its progress; ``most_pages``: how many it may fetch; None = no limit."""
    held = HeldPart(backend, context.run.job_id, context.config.engine.runner.config.lease_ttl)
    work = PartWork(context, backend, stop, Progress(counters), cut_short)
    with held.kept():
        return Slot(held, work, most_pages).run()


def is_at_work(backend: "AbstractBackend", job_id: str) -> bool:
    """Whether a worker holds a part of the job, here or elsewhere, and is not known to be dead."""
    return any(
        part.holder is not None and part.expires_in > 0 and not is_dead(part.holder)
        for part in backend.get_parts(job_id)
    )


class HeldPart:
    """The part that a worker holds, one at a time, kept by heartbeats."""

    def __init__(self, backend: "AbstractBackend", job_id: str, ttl: float) -> None:
        self._backend, self._job_id, self._ttl = backend, job_id, ttl
        self._claim: str | None = None
        self._worker = this_process()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within: the lease of the part is renewed."""
        with Ticker(self._renew, self._backend.heartbeat_interval(self._ttl), name="bizon-parts"):
            yield

    def take(self) -> "TakenPart | None":
        """A part that this process holds from now on; None when there is none to take."""
        part = self._backend.take_part(self._job_id, self._worker, self._ttl, is_dead)
        self._claim = None if part is None else part.claim
        return part

    def forget(self) -> None:
        """The part is done, and needs no lease."""
        self._claim = None

    def give_back(self, part: "TakenPart") -> bool:
        """Let others take a part. False when this worker did not hold it any more."""
        self.forget()
        return self._backend.give_back_part(self._job_id, part.claim)

    def _renew(self) -> None:
        claim = self._claim
        with suppress(Exception):  # the next heartbeat comes soon; the lease of the stream reports an error
            if claim is not None:
                self._backend.renew_part(self._job_id, claim, self._ttl)


class Slot:
    """The loop of a worker. See ``take_parts``."""

    def __init__(self, held: HeldPart, work: "PartWork", most_pages: int | None) -> None:
        self._held, self._work, self._left = held, work, most_pages
        self._parts = Parts()

    def run(self) -> WorkerResult:
        """Work until every part of the job is done, the job is over, or the command must end. A failure ends the other
        slots of the command after their page in flight."""
        result = guarded(self._work.backend, self._work.stop, self._run, self._failed)
        if result.error is not None:
            self._work.stop.set()
        return result._replace(parts=self._parts)

    def _run(self) -> WorkerResult:
        last = _DONE
        while not self._work.stop.is_set():
            if self._left == 0:
                return last._replace(capped=True)
            part = self._held.take()
            if part is not None:
                result = self._work_on(part)
                if not result.is_success:
                    return result
                last = result
            elif self._is_over():
                return last
            else:
                self._work.cut_short.wait(LOOK_EVERY)
        return last._replace(status=PipelineReturnStatus.KILLED_BY_RUNNER)

    def _work_on(self, part: "TakenPart") -> WorkerResult:
        """How the work on a part ended. A part that another worker has taken over is that worker's, however the work on
        it failed here: its staging may be gone."""
        before = self._work.progress.snapshot().pages
        logger.debug(f"part {part.number} is taken, start {part.epoch}")
        self._parts = self._parts._replace(taken=self._parts.taken + 1)
        result = self._work.run(part, self._left)
        is_finished = result.is_success and not result.capped
        is_held = is_finished or self._held.give_back(part)
        if self._left is not None:
            self._left = max(self._left - (self._work.progress.snapshot().pages - before), 0)
        if is_finished:
            self._held.forget()
            self._parts = self._parts._replace(finished=self._parts.finished + 1)
        if result.is_success:
            return result._replace(capped=False)
        if result.overtaken or (result.error is not None and not is_held):
            logger.info(f"Part {part.number} was taken over by another worker, which finishes it")
            return _DONE
        return result

    def _is_over(self) -> bool:
        backend, job_id = self._work.backend, self._work.context.run.job_id
        job = backend.get_stream_job_by_id(job_id)
        return job is None or not job.is_resumable or not backend.count_parts_left(job_id)

    def _failed(self, error: BaseException) -> WorkerResult:
        return failure(self._work.context, error, status_of(error, PipelineReturnStatus.BACKEND_ERROR))
