"""The interface of the state store: jobs and cursors. Rows and queries, no opinion on what a run should do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from bizon.engine.backend.config import AbstractBackendConfig, AbstractBackendConfigDetails, BackendTypes
from bizon.engine.backend.models import (
    CommitRecord,
    CursorStatus,
    DestinationCursor,
    Half,
    JobStatus,
    Lease,
    LeaseHolder,
    StreamJob,
    StreamKey,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class AbstractBackend(ABC):
    """Keeps jobs and cursors. Every method is one transaction, safe to call from any thread of the process that
    built the backend, and raises :class:`~bizon.common.errors.errors.BackendError` when the database fails."""

    def __init__(self, config: AbstractBackendConfigDetails, type: BackendTypes) -> None:
        self.config = config
        self.type = type

    # -- life cycle: the runner, once per run; each process of a run has its own backend ------------------------

    @abstractmethod
    def create_all_tables(self) -> None:
        """Create the state tables that are missing. Tolerates another process doing the same."""

    @abstractmethod
    def check_prerequisites(self) -> bool:
        """True when all state tables exist."""

    @abstractmethod
    def close(self) -> None:
        """Release all connections; idempotent."""

    def spool_folder(self, key: StreamKey) -> "Path | None":
        """A folder on this machine, beside the state, for pages of the stream that wait; None to keep none."""
        return None

    # -- jobs: engine/runner/jobs.py ----------------------------------------------------------------------------

    @abstractmethod
    def create_stream_job(
        self,
        key: StreamKey,
        sync_mode: str,
        incremental_state: dict[str, Any] | None = None,
    ) -> StreamJob:
        """Insert a job with status STARTED and attempt 0, created now, and later than every other job of the
        stream even if the clock was set back."""

    @abstractmethod
    def get_last_stream_job(self, key: StreamKey) -> StreamJob | None:
        """The newest job of the stream, whatever its status."""

    @abstractmethod
    def get_last_successful_stream_job(self, key: StreamKey) -> StreamJob | None:
        """The newest SUCCEEDED job of the stream whose sync mode is not ``WINDOW``: the watermark of the next
        incremental run."""

    def get_last_successful_window(self, key: StreamKey) -> StreamJob | None:
        """The newest SUCCEEDED job of the stream whose sync mode is ``WINDOW``; None where the backend has none."""
        return None

    @abstractmethod
    def get_stream_job_by_id(self, job_id: str) -> StreamJob | None:
        """The job, or None."""

    @abstractmethod
    def update_stream_job_status(
        self, job_id: str, job_status: JobStatus, error_message: str | None = None, *, epoch: int | None = None
    ) -> None:
        """Set the status; the error message is replaced too, None clears it. With ``epoch`` only while it is the job's
        current one, or that of its producer, and the job has not succeeded: who was overtaken has no say in how the job
        ends, nor has a producer that fails after the consumer has published."""

    @abstractmethod
    def set_total_records(self, job_id: str, total_records_to_fetch: int) -> None:
        """Note how many records the source says it has; display only."""

    @abstractmethod
    def note_progress(self, job_id: str, progress: dict[str, Any]) -> None:
        """Replace what is noted of the job, any JSON object: how a stream is doing, for display; of an incremental job
        where its window ends."""

    @abstractmethod
    def note_window(self, job_id: str, window: tuple[datetime, datetime]) -> None:
        """Note where the window of an incremental job begins and ends, aware moments; the next window begins there."""

    @abstractmethod
    def note_output(self, job_id: str, output: dict[str, Any], *, epoch: int) -> None:
        """Replace what is noted of the output of a job, any JSON object: that it is to be adopted, or what was
        published. Part of the watermark once the job has succeeded. Nothing is noted when ``epoch`` is not the job's
        current one."""

    @abstractmethod
    def open_epoch(self, job_id: str, half: Half | None = None) -> int:
        """Increment ``attempt`` and return it: the number of this start of the job, from 1. ``half``: what starts, None
        for both; unless it is the consumer alone, the number becomes ``producer_epoch`` too."""

    @abstractmethod
    def check_epoch(self, job_id: str, epoch: int) -> None:
        """Raise BackendError when ``epoch`` is not the job's current one: another run has taken it over."""

    @abstractmethod
    def request_stream_reset(self, key: StreamKey) -> None:
        """Ask that the next job of the stream fetches everything and replaces the output; harmless when repeated."""

    @abstractmethod
    def bind_stream_reset(self, key: StreamKey, job_id: str) -> None:
        """Give the pending requests of a stream to a job: it stays a reset until it has succeeded."""

    @abstractmethod
    def has_pending_reset(self, key: StreamKey) -> bool:
        """True when a reset was requested and no job was given it yet."""

    @abstractmethod
    def is_reset(self, job_id: str) -> bool:
        """True when the job was given a reset."""

    # -- cursors: the loader writes the destination cursor, the producer the source cursor --------------------

    @abstractmethod
    def create_destination_cursor(self, record: CommitRecord) -> DestinationCursor:
        """Record a committed batch, and ``record.next_state`` on its job when there is one, in one transaction.

        Raises BackendError when ``record.epoch`` is not the job's current epoch: another run has taken the job over,
        and a run that was frozen for long must not commit behind its back.
        """

    @abstractmethod
    def get_last_cursor_by_job_id(self, job_id: str) -> DestinationCursor | None:
        """The destination cursor with the highest ``to_source_iteration``, or None."""

    @abstractmethod
    def get_cursors_by_job_id(self, job_id: str) -> list[DestinationCursor]:
        """All destination cursors of the job, in page order."""

    @abstractmethod
    def get_number_of_written_rows_for_job(self, job_id: str) -> int:
        """Sum of ``rows_written`` of the job's destination cursors."""

    @abstractmethod
    def get_number_of_dead_letters_for_job(self, job_id: str) -> int:
        """Sum of ``dead_letters`` of the job's destination cursors."""

    @abstractmethod
    def create_source_cursor(
        self,
        job_id: str,
        key: StreamKey,
        iteration: int,
        rows_fetched: int,
        next_pagination: dict[str, Any],
        cursor_status: CursorStatus = CursorStatus.PULLING,
    ) -> None:
        """Note how far the source was read, in place of what was noted before; every ``syncCursorInDBEvery`` pages, for
        display."""

    def prune_cursors(self, key: StreamKey, keep: Sequence[str]) -> None:
        """Remove the cursors of all jobs of the stream that have succeeded or were cancelled, except those of ``keep``,
        ids of jobs. Called when a job is made; harmless when it does nothing."""
        return None

    def note_all_sent(self, job_id: str, key: StreamKey, epoch: int) -> None:
        """Note that the producer's start ``epoch`` has sent all pages and a complete end; its consumer is elsewhere."""
        return None

    def has_all_sent(self, job_id: str, epoch: int) -> bool:
        """True when that was noted; False where nothing is."""
        return False

    # -- refresh tokens that rotate: engine/runner/tokens.py ----------------------------------------------------

    @abstractmethod
    def get_kept_token(self, name: str) -> str | None:
        """What ``keep_token`` was given last under this name, by whatever pipeline; None when it never was."""

    @abstractmethod
    def keep_token(self, name: str, value: str) -> None:
        """Keep a text, of at most 100,000 characters, in place of the one before. It is a sealed refresh token that
        nobody can make again: when this returns, it survives the end of the process and, where that can be had, of
        the power."""

    # -- lease: engine/runner/lease.py --------------------------------------------------------------------------

    @abstractmethod
    def acquire_lease(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        """Take the lease of a stream for ``ttl`` seconds; None when taken, else the lease that stands in the way.

        Takes over an expired lease, one whose holder ``is_dead``, and one whose holder is ``gone`` (see ``Lease``), for
        which it may wait some seconds. Of several that try at once, one succeeds.
        """

    def heartbeat_interval(self, ttl: float) -> float:
        """Seconds between two calls of ``renew_lease`` for a lease of ``ttl`` seconds."""
        return ttl / 4

    @abstractmethod
    def renew_lease(self, key: StreamKey, owner: str, ttl: float) -> bool:
        """Extend the lease by ``ttl`` seconds from now. False when ``owner`` does not hold it any more."""

    @abstractmethod
    def release_lease(self, key: StreamKey, owner: str) -> None:
        """Give the lease back, if ``owner`` holds it."""

    @abstractmethod
    def get_lease(self, key: StreamKey) -> Lease | None:
        """The lease of a stream as it stands, expired or not; None when nobody holds it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()


class BackendFactory:
    """Builds the backend a config names. Imports its module only then."""

    @staticmethod
    def get_backend(config: AbstractBackendConfig) -> AbstractBackend:
        """A backend that has not touched its database yet."""
        from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend

        return SQLAlchemyBackend(config=config.config, type=config.type)
