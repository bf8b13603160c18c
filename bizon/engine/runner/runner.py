"""The interface of a runner: one run of one pipeline, from opening its job to closing it."""

from abc import ABC, abstractmethod
from threading import Event

from loguru import logger

from bizon.common.models import BizonConfig
from bizon.common.scrub import Scrubber
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress, ProgressSnapshot, WorkerResult
from bizon.engine.pipeline.producer import StopFlag
from bizon.engine.queue.spool import discard
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import OpenedJob, close_job, open_job, stream_key
from bizon.engine.runner.lease import held_lease
from bizon.engine.runner.models import RunContext, RunnerStatus
from bizon.source.config import SourceSyncModes


class AbstractRunner(ABC):
    """Runs a pipeline once. An adapter says where the workers live; the rules of the job are the same for all.

    ``stop`` may be called from any thread and from a signal handler. As a library a runner touches no signal handler,
    no log sink and no environment variable.
    """

    def __init__(
        self,
        config: BizonConfig,
        secrets: frozenset[str] = frozenset(),
        *,
        stop: StopFlag | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``stop`` and ``progress``: where the workers of an adapter look and count, when not in this process."""
        self.bizon_config = config
        self.secrets = secrets
        self._stopping = Event()
        self._stop: StopFlag = stop or self._stopping
        self._progress = progress or Progress()
        self._stop_requested = False

    def run(self) -> RunnerStatus:
        """Move the stream, or what is left of it. Returns how it ended; raises only when no job could be opened."""
        config = self.bizon_config
        key, ttl = stream_key(config), config.engine.runner.config.lease_ttl
        with build_backend(config) as backend, held_lease(backend, key, ttl, self._lose):
            while True:
                opened = open_job(backend, config)
                status = self._run_job(backend, opened)
                if not (opened.then_another and status.published):
                    return status

    def stop(self) -> None:
        """Ask the run to end: the current page is finished, flushed and committed, nothing is published."""
        self._stop_requested = True
        self._stopping.set()
        self._stop.set()

    def progress(self) -> ProgressSnapshot:
        """How far the run is. May be called from any thread."""
        return self._progress.snapshot()

    @abstractmethod
    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        """Run the workers until all have ended: ``{"producer": ..., "consumer": ...}`` or ``{"stream": ...}``."""

    def _run_job(self, backend: AbstractBackend, opened: OpenedJob) -> RunnerStatus:
        config, key = self.bizon_config, opened.job.key
        folder = None if config.source.sync_mode is SourceSyncModes.STREAM else backend.spool_folder(key)
        if folder is not None:
            discard(folder, keep_job=opened.job.id)
        context = RunContext(
            config, key, opened.epoch, opened.resume, opened.incremental, opened.replaces, folder, self.secrets
        )
        try:
            status = self._status(opened, self._work(context, backend))
        except BaseException as error:
            failure = PipelineReturnStatus.KILLED_BY_RUNNER
            text = Scrubber(self.secrets)(f"the runner itself failed: {type(error).__name__}: {error}")
            close_job(backend, opened, RunnerStatus(opened.job.id, stream=failure, error=text))
            raise
        close_job(backend, opened, status)
        if folder is not None and status.published:
            discard(folder)
        return status

    def _lose(self, reason: str) -> None:
        """The lease is gone: stop, without counting it as a stop on request."""
        logger.error(reason)
        self._stop.set()

    def _status(self, opened: OpenedJob, results: dict[str, WorkerResult]) -> RunnerStatus:
        scrub = Scrubber(self.secrets)  # the text is stored with the job
        errors = [scrub(result.error) for result in results.values() if result.error is not None]
        success = all(result.status is PipelineReturnStatus.SUCCESS for result in results.values())
        published = success and any(result.published for result in results.values())
        interrupted = self._stop_requested and not published and not errors
        status = RunnerStatus(
            job_id=opened.job.id,
            **{name: result.status for name, result in results.items()},
            error=" | ".join(errors) or ("stopped on request, run again to resume" if interrupted else None),
            published=published,
            capped=success and any(result.capped for result in results.values()),
            interrupted=interrupted,
            records_written=self.progress().records_written,
            records_rejected=self.progress().records_rejected,
            where=next((result.where for result in results.values() if result.where is not None), None),
            dead_letters=next((result.dead_letters for result in results.values() if result.dead_letters), None),
            resumed_from=None if opened.resume.last_iteration is None else opened.resume.next_iteration,
        )
        logger.debug(status.to_string())
        return status
