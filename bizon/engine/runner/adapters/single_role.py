"""One role of a run by itself: the other role is another command, perhaps on another host, behind a broker.

    bizon run config.yml --role producer      opens or resumes the job, fetches, ends when everything is on the queue
    bizon run config.yml --role consumer      joins the job, writes, ends when the output is published

Each may die and be restarted at any time. A restarted producer opens an epoch: the consumer abandons its uncommitted
pages, joins again, and skips the messages of the earlier producer. A restarted consumer finds the pages that were not
acknowledged on the queue.
"""

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger
from bizon.engine.backend.models import Role
from bizon.engine.runner.jobs import join_job, open_job
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch
from bizon.engine.runner.runner import AbstractRunner
from bizon.engine.runner.workers import run_consumer, run_producer

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.models import WorkerResult
    from bizon.engine.pipeline.run import Run
    from bizon.engine.runner.models import RunContext, RunnerStatus

_ASK_EVERY = 5.0  # seconds; bounds how late the consumer sees that the producer has sent everything
_LOOK_EVERY = 1.0  # seconds; bounds how late a role sees that the other has changed the job


def runner_of(role: str) -> "type[AbstractRunner]":
    """The runner of one role."""
    return ProducerRunner if role == Role.PRODUCER else ConsumerRunner


class ProducerRunner(AbstractRunner):
    """Fetches, on the calling thread. It succeeds when the broker has all pages and the end of the stream.

    A fresh start that finds a job with only publishing left (see ``jobs.py``) lets the consumer publish it first, and
    then opens its own.
    """

    roles = (Role.PRODUCER,)

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
        while True:
            opened = open_job(backend, self.bizon_config, role=Role.PRODUCER, scope=self.scope)
            status = self._run_job(backend, opened)
            if not (opened.then_another and status.is_success):
                return status
            logger.info(f"Waiting for the consumer to publish job {opened.job.id}, before a fresh one starts")
            while _is_unpublished(backend, opened.job.id):
                if self._stopping.wait(_LOOK_EVERY):
                    return self._ended_early(opened.job.id)

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> "dict[str, WorkerResult]":
        gate = Event()
        gate.set()  # the destination is the consumer's to check
        queue = self._open_queue(Role.PRODUCER)
        links = self._links(queue, backend, gate=gate)
        result = run_producer(context, links)
        if result.is_success and not result.capped:
            backend.note_all_sent(context.run.job_id, context.run.key, context.run.epoch)
        return {"producer": result}


class ConsumerRunner(AbstractRunner):
    """Writes, on the calling thread, until a job is published, something fails, or it is asked to stop.

    An end that is not complete (the producer was stopped, has failed, or reached ``max_iterations``) does not end the
    consumer: it commits its pages and waits for the producer to start again.
    """

    roles = (Role.CONSUMER,)

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
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
            self._stopping.wait(_LOOK_EVERY)  # after a lost page the same end arrives until the producer restarts
        return self._ended_early("")

    def _check_queue(self) -> None:
        """Raise QueueError for a queue that is unreachable: it may be hours until there is a job to fail."""
        queue = self._open_queue(Role.CONSUMER)
        queue.connect()
        queue.close()

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> "dict[str, WorkerResult]":
        queue, failed = self._open_queue(Role.CONSUMER), Event()
        sent = _RemoteProducer(backend, context.run)
        watch = ProducerWatch(sent.state, is_drained=queue.is_drained, cut_short=self._stop)
        links = self._links(queue, backend, failed, watch=watch)
        return {"consumer": run_consumer(context, links)}


class _RemoteProducer:
    """The state of the producer of a run, as the state database shows it. The consumer waits until that producer has
    sent everything, also when it failed. Asked whenever the queue is empty; reads the database every few seconds."""

    def __init__(self, backend: "AbstractBackend", run: "Run", clock: Callable[[], float] = monotonic) -> None:
        self._backend = backend
        self._run = run
        self._clock = clock
        self._look_at = clock() + _ASK_EVERY
        self._has_sent_all = False

    def state(self) -> ProducerState:
        if not self._has_sent_all and self._clock() >= self._look_at:
            self._has_sent_all = self._backend.has_all_sent(self._run.job_id, self._run.producer_epoch)
            self._look_at = self._clock() + _ASK_EVERY
        return ProducerState.DONE if self._has_sent_all else ProducerState.RUNNING


def _is_unpublished(backend: "AbstractBackend", job_id: str) -> bool:
    job = backend.get_stream_job_by_id(job_id)
    return job is not None and job.is_under_way
