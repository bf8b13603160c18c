"""Rows of the state tables, as plain values."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from bizon.common.clock import microseconds, utc_now
from bizon.destination.models import CommittedBatch


class Role(StrEnum):
    """The side that fetches, or the side that writes. A run has both, or one of them runs alone (``--role``)."""

    PRODUCER = "producer"
    CONSUMER = "consumer"

    @property
    def fetches(self) -> bool:
        """True for the side that fetches."""
        return self is Role.PRODUCER


_READABLE = 60  # characters of a broker's name for people to read


class JobStatus(StrEnum):
    """Status of a job; only ``engine/runner/jobs.py`` writes it."""

    STARTED = "started"
    RUNNING = "running"
    FAILED = "failed"
    CANCELED = "cancelled"
    SUCCEEDED = "succeeded"


WINDOW = "window"
"""Sync mode of a job that fetched a window of the past (``engine/runner/windows.py``). Only the state has it."""


class CursorStatus(StrEnum):
    """Status of a source cursor."""

    STARTED = "started"
    PULLING = "pulling"
    PULLED = "pulled"
    WRITTEN_IN_DESTINATION = "written_in_destination"
    FAILED = "failed"


class StreamKey(NamedTuple):
    """One stream of one pipeline: the owner of jobs and checkpoints."""

    name: str
    source_name: str
    stream_name: str

    @property
    def broker_name(self) -> str:
        """A unique, readable name for the queue or topic of the stream, in characters that brokers accept, with a
        digest."""
        readable = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in self)
        return f"bizon.{readable[:_READABLE]}.{sha256(chr(0).join(self).encode()).hexdigest()[:12]}"


class StreamJob(NamedTuple):
    """One job: an attempt, over one or more runs, to move a stream. Times are aware, UTC.

    ``attempt`` counts the starts of either role. ``producer_epoch`` is its value at the last start of the producer, 0
    before the first. ``progress`` and ``window``: the last notes. ``output``: the note on the output that the job
    adopts or has published. ``joined``: the name that the commands of a joined job were given for it, or an empty text.
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
    joined: str | None = None

    @property
    def created_us(self) -> int:
        """When the job was created, in microseconds since 1970."""
        return microseconds(self.created_at)

    @property
    def age(self) -> timedelta:
        """The time since the job was created, by the clock of this machine."""
        return utc_now() - self.created_at

    @property
    def is_joined(self) -> bool:
        """True for a job that several commands work on."""
        return self.joined is not None

    @property
    def is_under_way(self) -> bool:
        """True while no run has ended the job."""
        return self.status in (JobStatus.STARTED, JobStatus.RUNNING)

    @property
    def has_failed(self) -> bool:
        """True when a run has ended the job without success."""
        return self.status is JobStatus.FAILED

    @property
    def has_succeeded(self) -> bool:
        """True once the job is published."""
        return self.status is JobStatus.SUCCEEDED

    @property
    def is_resumable(self) -> bool:
        """True while a run may go on with the job."""
        return self.is_under_way or self.has_failed

    @property
    def is_window(self) -> bool:
        """True for a job that fetches a window of the past."""
        return self.sync_mode == WINDOW

    @property
    def is_incremental(self) -> bool:
        """True for a job that fetches what is new since the last one; False for a window."""
        return self.sync_mode == "incremental"

    @property
    def is_endless(self) -> bool:
        """True for a job whose stream never ends."""
        return self.sync_mode == "stream"


class DestinationCursor(NamedTuple):
    """Everything up to and including page ``to_source_iteration`` is safe in the destination.

    ``pagination`` comes from the last page of the batch and fetches the next one; ``{}`` when the source was exhausted.
    ``receipt``, ``letters_receipt`` and ``partition`` are as in :class:`CommitRecord`.
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
    partition: int | None = None

    @property
    def batch(self) -> CommittedBatch:
        """The rows that were delivered."""
        return self._batch(self.rows_written, self.receipt)

    @property
    def letters(self) -> CommittedBatch:
        """The dead letters."""
        return self._batch(self.dead_letters, self.letters_receipt)

    def _batch(self, rows: int, receipt: dict[str, Any] | None) -> CommittedBatch:
        return CommittedBatch(self.from_source_iteration, self.to_source_iteration, rows, receipt, self.partition)


class Committed(NamedTuple):
    """All that a job has committed: its destination cursors, in page order; in a joined job by part and page."""

    cursors: tuple[DestinationCursor, ...]

    @property
    def last(self) -> DestinationCursor | None:
        """The cursor with the highest page; a run resumes after it. None when nothing is committed."""
        return self.cursors[-1] if self.cursors else None

    @property
    def rows_written(self) -> int:
        """Rows of all cursors."""
        return sum(cursor.rows_written for cursor in self.cursors)

    @property
    def rescued(self) -> int:
        """Values that had no room in their column, as the receipts of staged batches say."""
        return sum(sum((cursor.receipt or {}).get("rescued", {}).values()) for cursor in self.cursors)

    @property
    def dead_letters(self) -> int:
        """Dead letters of all cursors."""
        return sum(cursor.dead_letters for cursor in self.cursors)


class SourcePosition(NamedTuple):
    """How far the source was read: the next page, and the rows of the pages before it. It is for display only, and up
    to ``syncCursorInDBEvery`` pages old; a run resumes from its last destination cursor."""

    iteration: int
    rows_fetched: int


class LeaseHolder(NamedTuple):
    """The run that holds a lease. By ``place`` and ``started`` another process on the same host sees whether the run is
    alive: they name the set of process ids that ``pid`` belongs to, and when the process began."""

    owner: str
    host: str
    pid: int
    place: str
    started: str


class Lease(NamedTuple):
    """The current state of a lease. Times are the database's, so the clocks of hosts need not agree.

    ``age``: seconds since it was taken. ``idle``: seconds since the last heartbeat, which was at ``renewed_at``.
    ``expires_in``: negative once it has expired. ``gone``: the database has lost its session with the holder, on any
    host; False for a database without such sessions. Then the holder is dead if no heartbeat comes within ``silent_in``
    seconds.
    """

    holder: LeaseHolder
    age: float
    idle: float
    expires_in: float
    gone: bool = False
    silent_in: float = 0.0
    renewed_at: datetime | None = None


class CommitRecord(NamedTuple):
    """The loader's record of a write: one destination cursor, in one transaction.

    ``extends``: the last cursor of the job moves on, and no new one is created; for jobs that never end, which keep no
    receipts. ``receipt``: how the destination recognises the rows of the batch while they are staged;
    ``letters_receipt``: the same for its dead letters. ``partition``: the part of a joined job that has them.
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
    partition: int | None = None
