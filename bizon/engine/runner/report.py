"""What the state says about a pipeline, for people and programs that ask from outside a run."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bizon.common.clock import utc_now
from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.engine.backend.backend import BackendFactory
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import JobStatus
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import stream_key
from bizon.engine.runner.lease import is_dead
from bizon.source.config import SourceSyncModes


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """Who holds the lease. ``alive`` is False once the holder is known to be gone, or its lease has expired."""

    host: str
    pid: int
    owner: str
    age_seconds: float
    idle_seconds: float
    alive: bool


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The newest job of a pipeline. ``state`` is a job status, or ``none`` when there was never a job; a job that is
    ``running`` without a live lease was killed, and the next run resumes it. Rows are those committed by the job."""

    pipeline: str
    source: str
    stream: str
    state: str
    reset_pending: bool = False
    job_id: str | None = None
    sync_mode: str | None = None
    starts: int = 0
    created_at: datetime | None = None
    age_seconds: float | None = None
    last_iteration: int | None = None
    next_pagination: dict[str, Any] | None = None
    rows_written: int = 0
    dead_letters: int = 0
    total_records: int | None = None
    error: str | None = None
    lease: LeaseReport | None = None

    @property
    def is_at_work(self) -> bool:
        """True while a run is alive."""
        return self.lease is not None and self.lease.alive

    @property
    def was_killed(self) -> bool:
        """True when a run of a job that can end died without saying so."""
        started = self.state in (JobStatus.RUNNING, JobStatus.STARTED)
        return started and not self.is_at_work and self.sync_mode != SourceSyncModes.STREAM


def report_on(config: BizonConfig) -> PipelineReport:
    """Read the state of a pipeline; nothing is created or changed. Raises BackendError, and ConfigError for a state
    that lives in the memory of a run."""
    _refuse_memory(config)
    key = stream_key(config)
    nothing = PipelineReport(key.name, key.source_name, key.stream_name, "none")
    with BackendFactory.get_backend(config.engine.backend) as backend:
        if not backend.check_prerequisites():
            return nothing
        pending = backend.has_pending_reset(key)
        job, lease = backend.get_last_stream_job(key), backend.get_lease(key)
        if job is None:
            return PipelineReport(key.name, key.source_name, key.stream_name, "none", pending)
        cursor = backend.get_last_cursor_by_job_id(job.id)
        rows = backend.get_number_of_written_rows_for_job(job.id)
        dead_letters = backend.get_number_of_dead_letters_for_job(job.id)
    holder = None
    if lease is not None:
        alive = lease.expires_in > 0 and not (lease.gone or is_dead(lease.holder))
        who = lease.holder
        holder = LeaseReport(who.host, who.pid, who.owner, lease.age, lease.idle, alive)
    return PipelineReport(
        pipeline=key.name,
        source=key.source_name,
        stream=key.stream_name,
        state=job.status.value,
        reset_pending=pending,
        job_id=job.id,
        sync_mode=job.sync_mode,
        starts=job.attempt,
        created_at=job.created_at,
        age_seconds=(utc_now() - job.created_at).total_seconds(),
        last_iteration=None if cursor is None else cursor.to_source_iteration,
        next_pagination=None if cursor is None else cursor.pagination,
        rows_written=rows,
        dead_letters=dead_letters,
        total_records=job.total_records_to_fetch,
        error=job.error_message,
        lease=holder,
    )


def request_reset(config: BizonConfig) -> None:
    """Let the next run fetch everything again and replace the output. Raises ConfigError where that has no meaning."""
    _refuse_memory(config)
    if config.source.sync_mode is SourceSyncModes.STREAM:
        raise ConfigError(
            "a pipeline with sync_mode stream has nothing to reset: where it goes on is kept by its source",
            key=("source", "sync_mode"),
        )
    with build_backend(config) as backend:
        backend.request_stream_reset(stream_key(config))


def _refuse_memory(config: BizonConfig) -> None:
    if config.engine.backend.type is BackendTypes.SQLITE_IN_MEMORY:
        raise ConfigError(
            "backend type 'sqlite_in_memory' keeps no state between runs; use backend type 'sqlite' or 'postgres'",
            key=("engine", "backend", "type"),
        )
