"""The state of a pipeline as plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bizon.engine.backend.models import JobStatus
from bizon.engine.runner.lease_report import LeaseReport, MemberReport, PartReport
from bizon.source.config import SourceSyncModes


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The newest job of a pipeline. ``state`` is a job status, or ``none`` when there was never a job; a job that is
    ``running`` without a live lease was killed, and the next run resumes it. ``rows_written`` counts committed rows;
    ``rows_fetched`` and ``fetched_iteration`` say how far the source was read, by its last note.

    ``lease`` is the producer's, ``consumer_lease`` the consumer's; a run with both roles holds both. A stream that
    never ends notes ``records_per_second`` and ``lag`` (records that wait in the source), last at ``noted_at``.

    ``partitions``: how many the job was planned in, 0 for one chain; ``partitions_left``: those that are not exhausted.
    ``last_iteration`` and ``next_pagination`` are then about all of them. ``joined``: commands with --join share the
    job; ``parts``: its parts that a worker holds. It has no ``last_iteration``: each part has its own pages.
    ``members``: the commands with --join that share a stream, or have left it behind; ``records_per_second`` and
    ``lag`` are then sums of those that are alive."""

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
    values_rescued: int = 0
    rows_fetched: int | None = None
    fetched_iteration: int | None = None
    total_records: int | None = None
    error: str | None = None
    lease: LeaseReport | None = None
    consumer_lease: LeaseReport | None = None
    records_per_second: float | None = None
    lag: int | None = None
    noted_at: str | None = None
    partitions: int = 0
    partitions_left: int = 0
    joined: bool = False
    parts: tuple[PartReport, ...] = ()
    members: tuple[MemberReport, ...] = ()

    @property
    def is_running(self) -> bool:
        """True while a run, or one role of it, is alive."""
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
