"""Rows of the state tables, as plain values."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from bizon.destination.models import CommittedBatch


class JobStatus(StrEnum):
    """State of a job; written by ``engine/runner/jobs.py`` only."""

    STARTED = "started"
    RUNNING = "running"
    FAILED = "failed"
    CANCELED = "cancelled"
    SUCCEEDED = "succeeded"


WINDOW = "window"
"""Sync mode, in the state alone, of a job that fetched a window of the past (``engine/runner/windows.py``)."""

RESUMABLE = (JobStatus.STARTED, JobStatus.RUNNING, JobStatus.FAILED)


class CursorStatus(StrEnum):
    """State of a source cursor."""

    STARTED = "started"
    PULLING = "pulling"
    PULLED = "pulled"
    WRITTEN_IN_DESTINATION = "written_in_destination"
    FAILED = "failed"


class StreamKey(NamedTuple):
    """What checkpoints belong to: one stream of one pipeline."""

    name: str
    source_name: str
    stream_name: str


class Half(StrEnum):
    """What works on a stream: the side that fetches, or the side that writes; a run has both."""

    PRODUCER = "producer"
    CONSUMER = "consumer"


class StreamJob(NamedTuple):
    """One job: an attempt, over one or more runs, to move a stream. Times are aware, UTC.

    ``attempt`` counts the starts of either half; ``producer_epoch`` is what it was at the last start of the producer,
    0 before the first. ``progress`` and ``window``: as noted last. ``output``: what is noted of the output
    it was told to adopt, or has published.
    """

    id: str
    key: StreamKey
    sync_mode: str
    status: JobStatus
    attempt: int
    created_at: datetime
    total_records_to_fetch: int | None = None
    incremental_state: dict[str, Any] | None = None
    error_message: str | None = None
    updated_at: datetime | None = None
    producer_epoch: int = 0
    progress: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    window: tuple[datetime, datetime] | None = None


class DestinationCursor(NamedTuple):
    """The slip: everything up to and including ``to_source_iteration`` is safe in the destination.

    ``pagination`` is that of the last page in the batch: where to go on; ``{}`` when the source was exhausted.
    ``receipt`` and ``letters_receipt`` are as in :class:`CommitRecord`.
    """

    id: str
    job_id: str
    from_source_iteration: int
    to_source_iteration: int
    rows_written: int
    pagination: dict[str, Any]
    created_at: datetime
    dead_letters: int = 0
    receipt: dict[str, Any] | None = None
    letters_receipt: dict[str, Any] | None = None

    @property
    def batch(self) -> CommittedBatch:
        """The rows that were delivered."""
        return CommittedBatch(self.from_source_iteration, self.to_source_iteration, self.rows_written, self.receipt)

    @property
    def letters(self) -> CommittedBatch:
        """The dead letters."""
        first, last = self.from_source_iteration, self.to_source_iteration
        return CommittedBatch(first, last, self.dead_letters, self.letters_receipt)


class SourceCursor(NamedTuple):
    """A note of how far the source was read. Display only: resuming looks at the destination cursor alone."""

    id: str
    job_id: str
    iteration: int
    rows_fetched: int
    next_pagination: dict[str, Any]
    status: CursorStatus
    created_at: datetime


class LeaseHolder(NamedTuple):
    """Who works on a stream: one run. ``place`` and ``started`` let another process on the same host see whether the
    run is still alive: they name the set of process ids that ``pid`` belongs to, and when the process began."""

    owner: str
    host: str
    pid: int
    place: str
    started: str


class Lease(NamedTuple):
    """A lease as it stands. Times are the database's, so clocks of hosts need not agree; ``idle`` is the seconds since
    the last heartbeat, ``age`` since it was taken, ``expires_in`` is negative once it has expired. ``gone``: the
    database has lost its session with the holder, wherever that ran; False where the database has no such sessions. Its
    holder has died if it is not heard of within ``silent_in`` seconds either. ``renewed_at``: the last heartbeat."""

    holder: LeaseHolder
    age: float
    idle: float
    expires_in: float
    gone: bool = False
    silent_in: float = 0.0
    renewed_at: datetime | None = None


class CommitRecord(NamedTuple):
    """What the loader records after a write: one destination cursor, in one transaction.

    ``extends``: the last cursor of the job is moved on instead of a new one being made, for jobs that never end; no
    receipts are kept then. ``receipt``: how the destination recognises the rows of the batch while they are staged;
    ``letters_receipt``: the same for its dead letters.
    """

    job_id: str
    epoch: int
    key: StreamKey
    destination_name: str
    from_source_iteration: int
    to_source_iteration: int
    rows_written: int
    pagination: dict[str, Any]
    next_state: dict[str, Any] | None = None
    dead_letters: int = 0
    extends: bool = False
    receipt: Mapping[str, Any] | None = None
    letters_receipt: Mapping[str, Any] | None = None
