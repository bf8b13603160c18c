"""What the state says about a pipeline, for people and programs that ask from outside a run."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bizon.common.clock import utc_now
from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.common.role import Role
from bizon.engine.backend.backend import BackendFactory
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import JobStatus, Lease
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import stream_key
from bizon.engine.runner.lease import is_dead, lease_key
from bizon.source.config import SourceSyncModes


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """Who holds the lease of which half. ``alive`` is False once the holder is known to be gone, or its lease has
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
    ``running`` without a live lease was killed, and the next run resumes it. Rows are those committed by the job;
    ``rows_fetched`` and ``fetched_iteration`` are how far its source was read when that was last noted.

    ``lease`` is the producer's, ``consumer_lease`` the consumer's; a run with both halves holds both. Of a stream that
    never ends, ``records_per_second`` and ``lag`` (records that wait in the source) are as noted at ``noted_at``."""

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
    def is_at_work(self) -> bool:
        """True while a run, or a half of one, is alive."""
        return any(lease is not None and lease.alive for lease in (self.lease, self.consumer_lease))

    @property
    def has_failed(self) -> bool:
        """True when the newest job ended without success and no run is at it: it failed, or its run was killed."""
        return self.was_killed or (self.state == JobStatus.FAILED and not self.is_at_work)

    @property
    def is_fetching_ahead(self) -> bool:
        """True when the source was read further than the checkpoint, by its last note."""
        committed = -1 if self.last_iteration is None else self.last_iteration
        return self.fetched_iteration is not None and self.fetched_iteration > committed

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
        job = backend.get_last_stream_job(key)
        leases = {half: _lease_report(backend.get_lease(lease_key(key, half)), half) for half in Role}
        if job is None:
            return replace(
                nothing,
                reset_pending=pending,
                lease=leases[Role.PRODUCER],
                consumer_lease=leases[Role.CONSUMER],
            )
        committed, position = backend.committed(job.id), backend.get_source_position(job.id)
    noted = job.progress or {}
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
        last_iteration=None if committed.last is None else committed.last.to_source_iteration,
        next_pagination=None if committed.last is None else committed.last.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        rows_fetched=None if position is None else position.rows_fetched,
        fetched_iteration=None if position is None else position.iteration - 1,
        total_records=job.total_records_to_fetch,
        error=job.error_message,
        lease=leases[Role.PRODUCER],
        consumer_lease=leases[Role.CONSUMER],
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
