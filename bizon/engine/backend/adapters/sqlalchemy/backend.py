"""State in a SQL database, through SQLAlchemy Core."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from shutil import disk_usage
from threading import RLock
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.engine.backend.adapters.sqlalchemy import commits, leases, resets
from bizon.engine.backend.adapters.sqlalchemy.engines import build_engine, sqlite_path
from bizon.engine.backend.adapters.sqlalchemy.migrations import checked_version, upgrade
from bizon.engine.backend.adapters.sqlalchemy.rows import (
    naive_now,
    of_stream,
    stream_job,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import (
    ERROR_LENGTH,
    destination_cursors,
    metadata,
    source_cursors,
    stream_jobs,
)
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes
from bizon.engine.backend.models import (
    CommitRecord,
    CursorStatus,
    DestinationCursor,
    JobStatus,
    Lease,
    LeaseHolder,
    StreamJob,
    StreamKey,
)

_TICK = timedelta(microseconds=1)
_CREATE_ATTEMPTS = 3
_SCARCE = 1_000_000  # bytes; SQLite asks for less at a time


class SQLAlchemyBackend(AbstractBackend):
    """Serves ``sqlite`` and ``sqlite_in_memory``; the latter has one connection, which its threads use in turn."""

    def __init__(self, config: AbstractBackendConfigDetails, type: BackendTypes) -> None:
        super().__init__(config, type)
        self._engine = build_engine(config, type)
        self._one_at_a_time = RLock()

    def create_all_tables(self) -> None:
        if self.type is BackendTypes.SQLITE:
            path = sqlite_path(self.config)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BackendError(f"the folder of the state file '{path}' cannot be made: {error.strerror}") from error
        for attempt in range(1, _CREATE_ATTEMPTS + 1):  # first starts may race: the loser finds the tables made
            try:
                with self._transaction() as connection:
                    upgrade(connection)
                return
            except BackendError:
                if attempt == _CREATE_ATTEMPTS:
                    raise

    def check_prerequisites(self) -> bool:
        if self.type is BackendTypes.SQLITE and not sqlite_path(self.config).exists():
            return False  # connecting would make the file
        with self._transaction() as connection:
            checked_version(connection)
            present = set(inspect(connection).get_table_names())
        return set(metadata.tables) <= present

    def close(self) -> None:
        self._engine.dispose()

    def spool_folder(self, key: StreamKey) -> Path | None:
        if self.type is not BackendTypes.SQLITE:
            return None
        stream = sha256("\0".join(stream_values(key).values()).encode()).hexdigest()[:16]
        return sqlite_path(self.config).with_suffix(".spool") / stream

    def create_stream_job(
        self, key: StreamKey, sync_mode: str, incremental_state: dict[str, Any] | None = None
    ) -> StreamJob:
        with self._transaction() as connection:
            newest = connection.execute(
                select(func.max(stream_jobs.c.created_at)).where(*of_stream(stream_jobs, key))
            ).scalar()
            now = naive_now()
            row: dict[str, Any] = {
                "id": uuid4().hex,
                **stream_values(key),
                "sync_mode": sync_mode,
                "attempt": 0,
                "created_at": now if newest is None else max(now, newest + _TICK),
                "incremental_state": to_text(incremental_state),
                "status": JobStatus.STARTED.value,
            }
            connection.execute(insert(stream_jobs).values(row))
        return self._existing_job(row["id"])

    def get_last_stream_job(self, key: StreamKey) -> StreamJob | None:
        return self._newest_job(*of_stream(stream_jobs, key))

    def get_last_successful_stream_job(self, key: StreamKey) -> StreamJob | None:
        return self._newest_job(*of_stream(stream_jobs, key), stream_jobs.c.status == JobStatus.SUCCEEDED.value)

    def get_stream_job_by_id(self, job_id: str) -> StreamJob | None:
        return self._newest_job(stream_jobs.c.id == job_id)

    def update_stream_job_status(
        self, job_id: str, job_status: JobStatus, error_message: str | None = None, *, epoch: int | None = None
    ) -> None:
        ours = () if epoch is None else (stream_jobs.c.attempt == epoch,)
        error = error_message[:ERROR_LENGTH] if error_message else None
        self._update_job(job_id, *ours, status=job_status.value, error_message=error)

    def set_total_records(self, job_id: str, total_records_to_fetch: int) -> None:
        self._update_job(job_id, total_records_to_fetch=total_records_to_fetch)

    def open_epoch(self, job_id: str) -> int:
        self._update_job(job_id, attempt=stream_jobs.c.attempt + 1)
        return self._existing_job(job_id).attempt

    def check_epoch(self, job_id: str, epoch: int) -> None:
        if self._existing_job(job_id).attempt != epoch:
            raise OvertakenError(job_id)

    def create_destination_cursor(self, record: CommitRecord) -> DestinationCursor:
        with self._transaction() as connection:
            return commits.record(connection, record)

    def get_last_cursor_by_job_id(self, job_id: str) -> DestinationCursor | None:
        with self._transaction() as connection:
            return commits.last(connection, job_id)

    def get_number_of_written_rows_for_job(self, job_id: str) -> int:
        with self._transaction() as connection:
            return commits.total(connection, job_id, destination_cursors.c.rows_written)

    def get_number_of_dead_letters_for_job(self, job_id: str) -> int:
        with self._transaction() as connection:
            return commits.total(connection, job_id, destination_cursors.c.dead_letters)

    def create_source_cursor(
        self,
        job_id: str,
        key: StreamKey,
        iteration: int,
        rows_fetched: int,
        next_pagination: dict[str, Any],
        cursor_status: CursorStatus = CursorStatus.PULLING,
    ) -> None:
        row = {
            "id": uuid4().hex,
            "job_id": job_id,
            **stream_values(key),
            "iteration": iteration,
            "rows_fetched": rows_fetched,
            "next_pagination": to_text(next_pagination),
            "status": cursor_status.value,
            "created_at": naive_now(),
        }
        with self._transaction() as connection:
            connection.execute(insert(source_cursors).values(row))

    def request_stream_reset(self, key: StreamKey) -> None:
        with self._transaction() as connection:
            resets.request(connection, key)

    def bind_stream_reset(self, key: StreamKey, job_id: str) -> None:
        with self._transaction() as connection:
            resets.bind(connection, key, job_id)

    def has_pending_reset(self, key: StreamKey) -> bool:
        with self._transaction() as connection:
            return resets.is_pending(connection, key)

    def is_reset(self, job_id: str) -> bool:
        with self._transaction() as connection:
            return resets.is_bound(connection, job_id)

    def acquire_lease(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        with self._transaction() as connection:
            return leases.acquire(connection, key, holder, ttl, is_dead)

    def renew_lease(self, key: StreamKey, owner: str, ttl: float) -> bool:
        with self._transaction() as connection:
            return leases.renew(connection, key, owner, ttl)

    def release_lease(self, key: StreamKey, owner: str) -> None:
        with self._transaction() as connection:
            leases.release(connection, key, owner)

    def get_lease(self, key: StreamKey) -> Lease | None:
        with self._transaction() as connection:
            return leases.current(connection, key)

    def _newest_job(self, *conditions: Any) -> StreamJob | None:
        with self._transaction() as connection:
            row = connection.execute(
                select(stream_jobs).where(*conditions).order_by(stream_jobs.c.created_at.desc()).limit(1)
            ).first()
        return None if row is None else stream_job(row)

    def _existing_job(self, job_id: str) -> StreamJob:
        job = self.get_stream_job_by_id(job_id)
        if job is None:
            raise BackendError(f"job '{job_id}' is missing from {self._describe()}: was it deleted during the run?")
        return job

    def _update_job(self, job_id: str, *conditions: Any, **values: Any) -> None:
        with self._transaction() as connection:
            connection.execute(
                update(stream_jobs)
                .where(stream_jobs.c.id == job_id, *conditions)
                .values(**values, updated_at=naive_now())
            )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        guard = self._one_at_a_time if self.type is BackendTypes.SQLITE_IN_MEMORY else None
        try:
            if guard is not None:
                guard.acquire()
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise BackendError(f"the state in {self._describe()} cannot be used: {self._reason(error)}") from error
        finally:
            if guard is not None:
                guard.release()

    def _reason(self, error: SQLAlchemyError) -> str:
        """What the database says; SQLite calls a full disk an I/O error when it finds out in its shared index."""
        cause = getattr(error, "orig", None) or error
        if getattr(cause, "sqlite_errorname", "").startswith("SQLITE_IOERR"):
            with suppress(OSError):
                if disk_usage(sqlite_path(self.config).parent).free < _SCARCE:
                    return f"{cause}, the disk is full"
        return str(cause)

    def _describe(self) -> str:
        if self.type is BackendTypes.SQLITE:
            return f"'{sqlite_path(self.config)}'"
        return "memory"
