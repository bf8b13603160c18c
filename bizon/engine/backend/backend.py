"""The interface of the state: jobs and cursors. It has rows and queries; the runner decides what a run does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from bizon.engine.backend.models import (
    CommitRecord,
    Committed,
    CursorStatus,
    DestinationCursor,
    JobStatus,
    Lease,
    LeaseHolder,
    SourcePosition,
    StreamJob,
    StreamKey,
)
from bizon.engine.backend.partition_plans import PartitionPlans

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bizon.engine.backend.config import AbstractBackendConfig, AbstractBackendConfigDetails, BackendTypes
    from bizon.engine.backend.models import Role

    _Json = dict[str, Any] | None


class AbstractBackend(PartitionPlans, ABC):
    """Keeps jobs and cursors. Each method is one transaction, called from any thread of the process that built the
    backend. It raises :class:`~bizon.common.errors.errors.BackendError` when the database fails."""

    def __init__(self, config: "AbstractBackendConfigDetails", type: "BackendTypes") -> None:
        self.config = config
        self.type = type

    # -- life cycle: called by the runner, once per run; each process of a run has its own backend ----------------

    @abstractmethod
    def create_all_tables(self) -> None:
        """Create the missing state tables. Another process may do the same at the same time."""

    @abstractmethod
    def check_prerequisites(self) -> bool:
        """True when all state tables exist."""

    @abstractmethod
    def close(self) -> None:
        """Release all connections; idempotent."""

    def beside(self) -> "AbstractBackend":
        """Another backend on this state, whose tables exist, for one more run of this process at the same time. It may
        share connections, and is closed by itself, before this one."""
        return type(self)(self.config, self.type)

    def spool_folder(self, key: StreamKey) -> "Path | None":
        """A folder on this machine, next to the state, for the stream's spooled pages; None when nothing is spooled."""
        return None

    # -- jobs: engine/runner/jobs.py ----------------------------------------------------------------------------

    @abstractmethod
    def create_stream_job(
        self, key: StreamKey, sync_mode: str, incremental_state: "_Json" = None, seen: datetime | None = None
    ) -> StreamJob:
        """Insert a job with status STARTED and attempt 0, later than every other job of the stream by any clock. Raises
        OvertakenError when another one was created later than ``seen``."""

    @abstractmethod
    def remove_stream_job(self, job_id: str, *, epoch: int, instead_of: StreamJob | None = None) -> bool:
        """Remove a job, its plan and its resets. ``instead_of``: the job that was cancelled for it, as it was before;
        it gets status and error back. False, without a change, when ``epoch`` is superseded or the job has a cursor."""

    def get_stream_names(self, name: str, source_name: str) -> list[str]:
        """The streams of a pipeline that have jobs, by name; empty where the backend does not list them."""
        return []

    @abstractmethod
    def get_last_stream_job(self, key: StreamKey) -> StreamJob | None:
        """The newest job of the stream, with any status."""

    @abstractmethod
    def get_last_successful_stream_job(self, key: StreamKey) -> StreamJob | None:
        """The newest SUCCEEDED job of the stream with another mode than ``WINDOW``: the next watermark."""

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
        """Set the status, and replace the error message; None clears it. With ``epoch``, only while it is the current
        epoch of the job or of its producer, and the job has not succeeded. So a superseded run cannot decide how the
        job ends, and neither can a producer that fails after the consumer has published."""

    @abstractmethod
    def set_total_records(self, job_id: str, total_records_to_fetch: int) -> None:
        """Note how many records the source reports, for display only."""

    @abstractmethod
    def note_progress(self, job_id: str, progress: dict[str, Any]) -> None:
        """Replace the note on how a stream is doing, any JSON object, for display only."""

    @abstractmethod
    def note_window(self, job_id: str, window: tuple[datetime, datetime]) -> None:
        """Note where the window of an incremental job begins and ends, as aware times; the next begins at the end."""

    @abstractmethod
    def note_output(self, job_id: str, output: dict[str, Any], *, epoch: int) -> None:
        """Replace the note on a job's output, a part of its watermark, unless ``epoch`` is superseded."""

    @abstractmethod
    def open_epoch(self, job_id: str, role: "Role | None" = None) -> int:
        """Increment ``attempt`` and return it: the number of this start of the job, from 1. ``role``: the side that
        starts, None for both. Unless the consumer starts alone, the number becomes ``producer_epoch`` too."""

    @abstractmethod
    def check_epoch(self, job_id: str, epoch: int) -> None:
        """Raise OvertakenError when ``epoch`` is not the job's current one: another run has taken the job over."""

    @abstractmethod
    def request_stream_reset(self, key: StreamKey) -> None:
        """Let the next job of the stream fetch everything and replace the output; harmless when repeated."""

    @abstractmethod
    def withdraw_stream_reset(self, key: StreamKey) -> None:
        """Forget the requests that are not bound to a job yet; harmless when repeated."""

    @abstractmethod
    def bind_stream_reset(self, key: StreamKey, job_id: str) -> None:
        """Bind the pending requests of a stream to a job: the job stays a reset until it has succeeded."""

    @abstractmethod
    def has_pending_reset(self, key: StreamKey) -> bool:
        """True when a requested reset is not bound to a job yet."""

    @abstractmethod
    def is_reset(self, job_id: str) -> bool:
        """True when a reset is bound to the job."""

    # -- cursors: the loader writes destination cursors, the producer source cursors ------------------------------

    @abstractmethod
    def create_destination_cursor(self, record: CommitRecord) -> DestinationCursor:
        """Record a committed batch, and ``record.next_state`` on its job if there is one, in one transaction.
        Raises OvertakenError when ``record.epoch`` is not the job's current epoch: another run has taken the job over
        while this one was frozen. Raises BackendError when a page of the batch is committed already. With
        ``record.partition`` both are about that part of a joined job, whose last page makes it done; SourceFetchError
        says that the ``next_state`` of another part differs."""

    @abstractmethod
    def committed(self, job_id: str, partition: int | None = None) -> Committed:
        """All that the job has committed, in page order; of a joined job, all that one part has."""

    def get_last_cursor_by_job_id(self, job_id: str) -> DestinationCursor | None:
        """The destination cursor with the highest ``to_source_iteration``, or None."""
        return self.committed(job_id).last

    def get_number_of_written_rows_for_job(self, job_id: str) -> int:
        """Sum of ``rows_written`` of the job's destination cursors."""
        return self.committed(job_id).rows_written

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
        """Note how far the source was read, instead of the note before. Called every ``syncCursorInDBEvery`` pages."""

    def get_source_position(self, job_id: str) -> SourcePosition | None:
        """The last note of ``create_source_cursor``, for display; None when the backend keeps none."""
        return None

    def prune_cursors(self, key: StreamKey, keep: Sequence[str]) -> None:
        """Remove cursors and plans of the stream's succeeded and cancelled jobs, except those with an id in ``keep``.
        Called when a job is created. A backend may do nothing here."""

    def note_all_sent(self, job_id: str, key: StreamKey, epoch: int) -> None:
        """Note that start ``epoch`` of the producer has sent all pages and a complete end, to a consumer elsewhere."""

    def has_all_sent(self, job_id: str, epoch: int) -> bool:
        """True when ``note_all_sent`` was called for this start; False in a backend that does not note it."""
        return False

    # -- refresh tokens that rotate: engine/runner/tokens.py ----------------------------------------------------

    @abstractmethod
    def get_kept_token(self, name: str) -> str | None:
        """The newest value that any pipeline passed to ``keep_token`` under this name; None without one."""

    @abstractmethod
    def keep_token(self, name: str, value: str) -> None:
        """Keep a text of at most 100,000 characters, instead of the one before: a sealed refresh token that nobody can
        recreate. Once this returns, it survives the end of the process, and, if the database can, a power cut."""

    # -- lease: engine/runner/lease.py --------------------------------------------------------------------------

    @abstractmethod
    def acquire_lease(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        """Take the lease of a stream for ``ttl`` seconds; None when taken, else the lease in the way. Takes over an
        expired one, one whose holder ``is_dead``, and after some seconds one whose holder is ``gone`` (see ``Lease``).
        When several runs try at once, one succeeds."""

    def heartbeat_interval(self, ttl: float) -> float:
        """Seconds between two calls of ``renew_lease`` for a lease of ``ttl`` seconds."""
        return ttl / 4

    @abstractmethod
    def renew_lease(self, key: StreamKey, owner: str, ttl: float) -> bool:
        """Extend the lease by ``ttl`` seconds from now. False when ``owner`` no longer holds it."""

    @abstractmethod
    def release_lease(self, key: StreamKey, owner: str) -> None:
        """Release the lease if ``owner`` holds it."""

    @abstractmethod
    def get_lease(self, key: StreamKey) -> Lease | None:
        """The lease of a stream, expired or not; None when nobody holds it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()


class BackendFactory:
    """Builds the backend that a config names, and imports its module only then."""

    @staticmethod
    def get_backend(config: "AbstractBackendConfig", *, was_reached: bool = False) -> AbstractBackend:
        """A backend that has not connected to its database yet. ``was_reached``: another process of the run has."""
        from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend

        return SQLAlchemyBackend(config=config.config, type=config.type, was_reached=was_reached)

    @staticmethod
    def in_memory() -> AbstractBackend:
        """A backend of its own, empty, that ends with the process."""
        from bizon.engine.backend.adapters.sqlalchemy.config import SQLiteInMemoryConfig

        return BackendFactory.get_backend(SQLiteInMemoryConfig.model_validate({"type": "sqlite_in_memory"}))
