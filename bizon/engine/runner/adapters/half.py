"""One half of a run by itself: the other is another command, perhaps on another host. A broker is between them.

    bizon run config.yml --role producer      opens or resumes the job, fetches, ends when all is on the queue
    bizon run config.yml --role consumer      joins the job, writes, ends when the output is published

Each may die and be started again at any time. A producer that starts anew opens an epoch: the consumer gives up what it
has not committed, joins again, and leaves out what the earlier producer sent. A consumer that starts anew finds on the
queue what was not acknowledged.
"""

from threading import Event

from bizon.common.clock import Monotonic, monotonic
from bizon.common.role import Role
from bizon.common.safe_log import logger
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import JobStatus
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.assembly import build_queue
from bizon.engine.runner.jobs import join_job, open_job, stream_key
from bizon.engine.runner.models import Links, RunContext, RunnerStatus
from bizon.engine.runner.runner import AbstractRunner
from bizon.engine.runner.watch import ProducerState, ProducerWatch
from bizon.engine.runner.workers import run_consumer, run_producer

_ASK_EVERY = 5.0  # seconds; how late it is seen that the other half has sent everything
_LOOK_EVERY = 1.0  # seconds; how late it is seen what the other half has done with a job


class _HalfRunner(AbstractRunner):
    def _ended_early(self, job_id: str) -> RunnerStatus:
        """The status of a half that was waiting for the other."""
        (half,) = self.halves
        why = "stopped on request" if self._stop_requested else f"another {half} has taken over"
        killed = PipelineReturnStatus.KILLED_BY_RUNNER
        producer, consumer = (killed if half is each else None for each in (Role.PRODUCER, Role.CONSUMER))
        return RunnerStatus(job_id, producer, consumer, error=why, interrupted=self._stop_requested)


class ProducerRunner(_HalfRunner):
    """Fetches, on the calling thread. It succeeds when the broker has all pages and the end of the stream.

    A fresh start that finds a job of which only publishing is left (see ``jobs.py``) tells the consumer so, and begins
    its own once that one is over.
    """

    halves = (Role.PRODUCER,)

    def _run_jobs(self, backend: AbstractBackend) -> RunnerStatus:
        while True:
            opened = open_job(backend, self.bizon_config, half=Role.PRODUCER, scope=self.scope)
            status = self._run_job(backend, opened)
            if not (opened.then_another and status.is_success):
                return status
            logger.info(f"Waiting for the consumer to publish job {opened.job.id}, before a fresh one starts")
            while _is_unpublished(backend, opened.job.id):
                if self._stopping.wait(_LOOK_EVERY):
                    return self._ended_early(opened.job.id)

    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        gate = Event()
        gate.set()  # the destination is the consumer's to check
        links = Links(
            build_queue(context.config, context.key, Role.PRODUCER), backend, self._stop, gate, self._progress
        )
        result = run_producer(context, links)
        if result.status is PipelineReturnStatus.SUCCESS and not result.capped:
            backend.note_all_sent(context.resume.job_id, context.key, context.epoch)
        return {"producer": result}


class ConsumerRunner(_HalfRunner):
    """Writes, on the calling thread, until a job is published, something fails, or it is asked to stop.

    An end that is not complete (the producer was stopped, has failed, or reached ``max_iterations``) is no end for the
    consumer: it commits what it has and waits for the producer to start again.
    """

    halves = (Role.CONSUMER,)

    def _run_jobs(self, backend: AbstractBackend) -> RunnerStatus:
        waits, before = False, None
        while not self._stop.is_set():
            opened = join_job(backend, self.bizon_config, before)
            if opened is None:
                if not waits:
                    self._check_queue()
                    logger.info("There is no unfinished job; waiting for the producer to start one")
                    waits = True
                self._stopping.wait(_LOOK_EVERY)
                continue
            waits, before = False, opened
            status = self._run_job(backend, opened)
            if status.published or status.interrupted or not (status.overtaken or status.is_success):
                return status
            self._stopping.wait(_LOOK_EVERY)  # where a page is lost, the same end comes again, until the producer does
        return self._ended_early("")

    def _check_queue(self) -> None:
        """Raise QueueError for a queue that cannot be reached: it may be hours until there is a job."""
        queue = build_queue(self.bizon_config, stream_key(self.bizon_config), Role.CONSUMER)
        queue.connect()
        queue.close()

    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        queue, failed, gate = build_queue(context.config, context.key, Role.CONSUMER), Event(), Event()
        sent = _Sent(backend, context.resume.job_id, context.producer_epoch)
        watch = ProducerWatch(sent.state, is_drained=queue.is_drained)
        is_over = lambda was_empty: self._stop.is_set() or watch(was_empty)  # noqa: E731
        links = Links(queue, backend, failed, gate, self._progress, is_over)
        return {"consumer": run_consumer(context, links)}


class _Sent:
    """Whether a start of the producer, elsewhere, has sent all: as long as it has not, it is waited for, also when it
    failed. Asked whenever the queue is empty; looks into the state now and then."""

    def __init__(self, backend: AbstractBackend, job_id: str, epoch: int, clock: Monotonic = monotonic) -> None:
        self._backend = backend
        self._job_id = job_id
        self._epoch = epoch
        self._clock = clock
        self._look_at = clock() + _ASK_EVERY
        self._all = False

    def state(self) -> ProducerState:
        if not self._all and self._clock() >= self._look_at:
            self._all = self._backend.has_all_sent(self._job_id, self._epoch)
            self._look_at = self._clock() + _ASK_EVERY
        return ProducerState.DONE if self._all else ProducerState.AT_WORK


def _is_unpublished(backend: AbstractBackend, job_id: str) -> bool:
    job = backend.get_stream_job_by_id(job_id)
    return job is not None and job.status in (JobStatus.STARTED, JobStatus.RUNNING)
