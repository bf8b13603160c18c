"""Jobs: created, found, and changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    enforces_keys,
    from_text,
    in_one_try,
    in_transaction,
    insert_once,
    inserting,
    naive_now,
    of_stream,
    storable,
    stream_job,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import (
    ERROR_LENGTH,
    destination_cursors,
    source_cursors,
    stream_jobs,
    stream_partitions,
    stream_resets,
)
from bizon.engine.backend.models import WINDOW, JobStatus, Role, StreamJob, StreamKey

_TICK = timedelta(microseconds=1)


class JobTable(BackendPart):
    """The methods on ``stream_jobs``."""

    @inserting
    def create_stream_job(
        self,
        connection: Connection,
        job_id: str,
        key: StreamKey,
        sync_mode: str,
        incremental_state: dict[str, Any] | None = None,
    ) -> StreamJob:
        newest, now = _newest(connection, *of_stream(stream_jobs, key)), naive_now().replace(tzinfo=UTC)
        created_at = now if newest is None else max(now, newest.created_at + _TICK)
        state = to_text(incremental_state)
        row = {
            "id": job_id,
            **stream_values(key),
            "sync_mode": sync_mode,
            "attempt": 0,
            "created_at": created_at.replace(tzinfo=None),
            "incremental_state": state,
            "status": JobStatus.STARTED.value,
        }
        if not insert_once(connection, stream_jobs, row):
            return self._existing(job_id, by_id(connection, job_id))
        return StreamJob(
            id=job_id,
            key=key,
            sync_mode=sync_mode,
            status=JobStatus.STARTED,
            attempt=0,
            created_at=created_at,
            incremental_state=from_text(state),
        )

    @in_transaction
    def remove_stream_job(
        self, connection: Connection, job_id: str, *, epoch: int, instead_of: StreamJob | None = None
    ) -> bool:
        unused = (stream_jobs.c.id.not_in(select(table.c.job_id)) for table in (destination_cursors, source_cursors))
        ours = (stream_jobs.c.id == job_id, stream_jobs.c.attempt == epoch, *unused)
        mine = select(stream_jobs.c.id).where(*ours)
        connection.execute(delete(stream_partitions).where(stream_partitions.c.job_id.in_(mine)))
        removed = connection.execute(delete(stream_jobs).where(*ours)).rowcount == 1
        if not removed and by_id(connection, job_id) is not None:
            return False
        connection.execute(delete(stream_resets).where(stream_resets.c.consumed_by_job_id == job_id))
        if instead_of is not None:
            is_cancelled = stream_jobs.c.status == JobStatus.CANCELED.value  # nobody has resumed it since
            before = {"status": instead_of.status.value, "error_message": instead_of.error_message}
            _update(connection, instead_of.id, is_cancelled, **before)
        return True

    @in_transaction
    def get_stream_job_by_id(self, connection: Connection, job_id: str) -> StreamJob | None:
        return by_id(connection, job_id)

    @in_transaction
    def get_stream_names(self, connection: Connection, name: str, source_name: str) -> list[str]:
        ours = (stream_jobs.c.name == name, stream_jobs.c.source_name == source_name)
        return sorted(connection.execute(select(stream_jobs.c.stream_name).where(*ours).distinct()).scalars())

    @in_transaction
    def get_last_stream_job(self, connection: Connection, key: StreamKey) -> StreamJob | None:
        return _newest(connection, *of_stream(stream_jobs, key))

    @in_transaction
    def get_last_successful_stream_job(self, connection: Connection, key: StreamKey) -> StreamJob | None:
        return _newest_successful(connection, key, stream_jobs.c.sync_mode != WINDOW)

    @in_transaction
    def get_last_successful_window(self, connection: Connection, key: StreamKey) -> StreamJob | None:
        return _newest_successful(connection, key, stream_jobs.c.sync_mode == WINDOW)

    @in_transaction
    def update_stream_job_status(
        self,
        connection: Connection,
        job_id: str,
        job_status: JobStatus,
        error_message: str | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        ours = or_(stream_jobs.c.attempt == epoch, stream_jobs.c.producer_epoch == epoch)
        conditions = () if epoch is None else (ours, stream_jobs.c.status != JobStatus.SUCCEEDED.value)
        error = storable(error_message, ERROR_LENGTH)
        _update(connection, job_id, *conditions, status=job_status.value, error_message=error)

    @in_transaction
    def set_total_records(self, connection: Connection, job_id: str, total_records_to_fetch: int) -> None:
        _update(connection, job_id, total_records_to_fetch=total_records_to_fetch)

    @in_one_try
    def note_progress(self, connection: Connection, job_id: str, progress: dict[str, Any]) -> None:
        _update(connection, job_id, progress=to_text(progress))

    @in_transaction
    def note_window(self, connection: Connection, job_id: str, window: tuple[datetime, datetime]) -> None:
        begin, end = window
        _update(connection, job_id, incremental_window=to_text({"begin": begin.isoformat(), "end": end.isoformat()}))

    @in_transaction
    def note_output(self, connection: Connection, job_id: str, output: dict[str, Any], *, epoch: int) -> None:
        _update(connection, job_id, stream_jobs.c.attempt == epoch, output=to_text(output))

    @in_transaction
    def open_epoch(self, connection: Connection, job_id: str, role: Role | None = None) -> int:
        if not enforces_keys(connection):
            return self._existing(job_id, _open_epoch_by_comparing(connection, job_id, role)).attempt
        # No other start can get the same number: this transaction holds the row until it ends.
        _update(connection, job_id, **_start_numbers(stream_jobs.c.attempt + 1, role))
        return self._existing(job_id, by_id(connection, job_id)).attempt

    @in_transaction
    def check_epoch(self, connection: Connection, job_id: str, epoch: int) -> None:
        self._existing(job_id, by_id(connection, job_id), epoch)


def by_id(connection: Connection, job_id: str) -> StreamJob | None:
    """The job, or None."""
    return _newest(connection, stream_jobs.c.id == job_id)


def _newest_successful(connection: Connection, key: StreamKey, kind: Any) -> StreamJob | None:
    return _newest(connection, *of_stream(stream_jobs, key), stream_jobs.c.status == JobStatus.SUCCEEDED.value, kind)


def _newest(connection: Connection, *conditions: Any) -> StreamJob | None:
    row = connection.execute(
        select(stream_jobs).where(*conditions).order_by(stream_jobs.c.created_at.desc()).limit(1)
    ).first()
    return None if row is None else stream_job(row)


def _open_epoch_by_comparing(connection: Connection, job_id: str, role: Role | None) -> StreamJob | None:
    """Count one more start in a database whose transactions hold no rows, where another start may count in between."""
    while (job := by_id(connection, job_id)) is not None:
        unchanged = (stream_jobs.c.id == job_id, stream_jobs.c.attempt == job.attempt)
        values = {**_start_numbers(job.attempt + 1, role), "updated_at": naive_now()}
        if connection.execute(update(stream_jobs).where(*unchanged).values(values)).rowcount == 1:
            return job._replace(attempt=job.attempt + 1)
    return None


def _start_numbers(number: Any, role: Role | None) -> dict[str, Any]:
    """The changes by a start with this number. A consumer that starts alone leaves the producer's epoch."""
    return {"attempt": number} if role is Role.CONSUMER else {"attempt": number, "producer_epoch": number}


def _update(connection: Connection, job_id: str, *conditions: Any, **values: Any) -> None:
    connection.execute(
        update(stream_jobs).where(stream_jobs.c.id == job_id, *conditions).values(**values, updated_at=naive_now())
    )
