"""The state of a pipeline, for people and programs outside a run."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bizon.common.clock import utc_now
from bizon.common.errors.errors import ConfigError
from bizon.common.role import Role
from bizon.engine.backend.backend import AbstractBackend, BackendFactory
from bizon.engine.backend.models import JobStatus, Lease, StreamJob, StreamKey
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.lease import is_dead, lease_key
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """The lease of one half and its holder. ``alive`` is False once the holder is known to be gone, or its lease has
    expired."""

    half: str
    host: str
    pid: int
    owner: str
    age_seconds: float
    idle_seconds: float
    alive: bool


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The newest job of a pipeline. ``state`` is a job status, or ``none`` when there was never a job; a job that is
    ``running`` without a live lease was killed, and the next run resumes it. ``rows_written`` counts committed rows;
    ``rows_fetched`` and ``fetched_iteration`` say how far the source was read, by its last note.

    ``lease`` is the producer's, ``consumer_lease`` the consumer's; a run with both halves holds both. A stream that
    never ends notes ``records_per_second`` and ``lag`` (records that wait in the source), last at ``noted_at``."""

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
    rows_fetched: int | None = None
    fetched_iteration: int | None = None
    total_records: int | None = None
    error: str | None = None
    lease: LeaseReport | None = None
    consumer_lease: LeaseReport | None = None
    records_per_second: float | None = None
    lag: int | None = None
    noted_at: str | None = None

    @property
    def is_running(self) -> bool:
        """True while a run, or a half of one, is alive."""
        return any(lease is not None and lease.alive for lease in (self.lease, self.consumer_lease))

    @property
    def has_failed(self) -> bool:
        """True when the newest job ended without success and is not running: it failed, or its run was killed."""
        return self.was_killed or (self.state == JobStatus.FAILED and not self.is_running)

    @property
    def is_fetching_ahead(self) -> bool:
        """True when the source was read further than the checkpoint, by its last note."""
        committed = -1 if self.last_iteration is None else self.last_iteration
        return self.fetched_iteration is not None and self.fetched_iteration > committed

    @property
    def was_killed(self) -> bool:
        """True when the run of a job that can end died without recording it."""
        started = self.state in (JobStatus.RUNNING, JobStatus.STARTED)
        return started and not self.is_running and self.sync_mode != SourceSyncModes.STREAM


def report_on(config: "BizonConfig") -> PipelineReport:
    """Read the state of a pipeline; nothing is created or changed. Raises BackendError, and ConfigError for a state
    that lives in the memory of a run."""
    _refuse_memory(config)
    key = StreamKey.of_pipeline(config)
    nothing = PipelineReport(key.name, key.source_name, key.stream_name, "none")
    with BackendFactory.get_backend(config.engine.backend) as backend:
        if not backend.check_prerequisites():
            return nothing
        pending, job = backend.has_pending_reset(key), backend.get_last_stream_job(key)
        lease, consumer_lease = (
            _lease_report(backend.get_lease(lease_key(key, half)), half) for half in (Role.PRODUCER, Role.CONSUMER)
        )
        report = replace(nothing, reset_pending=pending, lease=lease, consumer_lease=consumer_lease)
        return report if job is None else _with_job(report, backend, job)


def _with_job(report: PipelineReport, backend: AbstractBackend, job: StreamJob) -> PipelineReport:
    committed, position = backend.committed(job.id), backend.get_source_position(job.id)
    cursor, noted = committed.last, job.progress or {}
    return replace(
        report,
        state=job.status.value,
        job_id=job.id,
        sync_mode=job.sync_mode,
        starts=job.attempt,
        created_at=job.created_at,
        age_seconds=(utc_now() - job.created_at).total_seconds(),
        last_iteration=None if cursor is None else cursor.to_source_iteration,
        next_pagination=None if cursor is None else cursor.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        rows_fetched=None if position is None else position.rows_fetched,
        fetched_iteration=None if position is None else position.iteration - 1,
        total_records=job.total_records_to_fetch,
        error=job.error_message,
        records_per_second=noted.get("records_per_second"),
        lag=noted.get("lag"),
        noted_at=noted.get("at"),
    )


def _lease_report(lease: Lease | None, half: Role) -> LeaseReport | None:
    if lease is None:
        return None
    alive = lease.expires_in > 0 and not (lease.gone or is_dead(lease.holder))
    who = lease.holder
    return LeaseReport(half.value, who.host, who.pid, who.owner, lease.age, lease.idle, alive)


def request_reset(config: "BizonConfig") -> None:
    """Make the next run fetch everything again and replace the output. Raises ConfigError where that has no meaning."""
    _refuse_memory(config)
    if config.source.is_endless:
        raise ConfigError(
            "a pipeline with sync_mode stream has nothing to reset: its source keeps the position",
            key=("source", "sync_mode"),
        )
    with build_backend(config) as backend:
        backend.request_stream_reset(StreamKey.of_pipeline(config))


def _refuse_memory(config: "BizonConfig") -> None:
    if config.engine.backend.is_in_memory:
        raise ConfigError(
            "backend type 'sqlite_in_memory' keeps no state between runs; use backend type 'sqlite' or 'postgres'",
            key=("engine", "backend", "type"),
        )
