"""Jobs, and the notes of how far their source was read. Each function runs in the caller's transaction."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from bizon.engine.backend.adapters.sqlalchemy.rows import (
    enforces_keys,
    insert_once,
    naive_now,
    of_stream,
    storable,
    stream_job,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import ERROR_LENGTH, source_cursors, stream_jobs
from bizon.engine.backend.models import WINDOW, CursorStatus, Half, JobStatus, StreamJob, StreamKey

_TICK = timedelta(microseconds=1)


def create(
    connection: Connection, job_id: str, key: StreamKey, sync_mode: str, incremental_state: dict[str, Any] | None
) -> None:
    """Insert a job that is later than every other one of its stream."""
    newest = connection.execute(select(func.max(stream_jobs.c.created_at)).where(*of_stream(stream_jobs, key))).scalar()
    now = naive_now()
    row = {
        "id": job_id,
        **stream_values(key),
        "sync_mode": sync_mode,
        "attempt": 0,
        "created_at": now if newest is None else max(now, newest + _TICK),
        "incremental_state": to_text(incremental_state),
        "status": JobStatus.STARTED.value,
    }
    insert_once(connection, stream_jobs, row)


def by_id(connection: Connection, job_id: str) -> StreamJob | None:
    """The job, or None."""
    return _newest(connection, stream_jobs.c.id == job_id)


def newest(connection: Connection, key: StreamKey) -> StreamJob | None:
    """The newest job of a stream."""
    return _newest(connection, *of_stream(stream_jobs, key))


def newest_successful(connection: Connection, key: StreamKey, *, window: bool) -> StreamJob | None:
    """The newest job of a stream that has succeeded, of those that fetched a window of the past or of the others."""
    kind = stream_jobs.c.sync_mode == WINDOW if window else stream_jobs.c.sync_mode != WINDOW
    return _newest(connection, *of_stream(stream_jobs, key), stream_jobs.c.status == JobStatus.SUCCEEDED.value, kind)


def set_status(
    connection: Connection, job_id: str, status: JobStatus, error_message: str | None, epoch: int | None
) -> None:
    """Set status and error; with ``epoch`` only while it is the current one, or the producer's, and not any more once
    the job has succeeded."""
    ours = or_(stream_jobs.c.attempt == epoch, stream_jobs.c.producer_epoch == epoch)
    conditions = () if epoch is None else (ours, stream_jobs.c.status != JobStatus.SUCCEEDED.value)
    _update(connection, job_id, *conditions, status=status.value, error_message=storable(error_message, ERROR_LENGTH))


def set_total(connection: Connection, job_id: str, total: int) -> None:
    """Note how many records there are."""
    _update(connection, job_id, total_records_to_fetch=total)


def note_progress(connection: Connection, job_id: str, progress: dict[str, Any]) -> None:
    """Replace the note of how the job is doing."""
    _update(connection, job_id, progress=to_text(progress))


def note_window(connection: Connection, job_id: str, window: tuple[datetime, datetime]) -> None:
    """Replace the note of the job's window."""
    begin, end = window
    _update(connection, job_id, incremental_window=to_text({"begin": begin.isoformat(), "end": end.isoformat()}))


def note_output(connection: Connection, job_id: str, output: dict[str, Any], epoch: int) -> None:
    """Replace the note of the job's output while ``epoch`` is the current one."""
    _update(connection, job_id, stream_jobs.c.attempt == epoch, output=to_text(output))


def open_epoch(connection: Connection, job_id: str, half: Half | None) -> StreamJob | None:
    """Count one more start. No other start can have the same number: the row is this transaction's until it ends."""
    if not enforces_keys(connection):
        return _open_epoch_by_comparing(connection, job_id, half)
    number = stream_jobs.c.attempt + 1
    _update(connection, job_id, attempt=number, **({} if half is Half.CONSUMER else {"producer_epoch": number}))
    return by_id(connection, job_id)


def _open_epoch_by_comparing(connection: Connection, job_id: str, half: Half | None) -> StreamJob | None:
    """The same where a transaction holds no row: another start may count between the look and the change."""
    while (job := by_id(connection, job_id)) is not None:
        number = job.attempt + 1
        values = {"attempt": number, **({} if half is Half.CONSUMER else {"producer_epoch": number})}
        mine = (stream_jobs.c.id == job_id, stream_jobs.c.attempt == job.attempt)
        if connection.execute(update(stream_jobs).where(*mine).values(**values, updated_at=naive_now())).rowcount == 1:
            return job._replace(attempt=number)
    return None


def note_source_cursor(
    connection: Connection,
    cursor_id: str,
    job_id: str,
    key: StreamKey,
    iteration: int,
    rows_fetched: int,
    next_pagination: dict[str, Any],
    status: CursorStatus,
    epoch: int = 0,
) -> None:
    """Note how far the source was read: one row per job, start and status, whose pagination may be long."""
    now, text = naive_now(), to_text(next_pagination)
    columns = source_cursors.c
    before = (columns.job_id == job_id, columns.status == status.value, columns.attempt == epoch)
    change = update(source_cursors).where(*before)
    progress = {"iteration": iteration, "rows_fetched": rows_fetched, "next_pagination": text, "updated_at": now}
    if connection.execute(change.values(progress)).rowcount:
        return
    row = {
        "id": cursor_id,
        "job_id": job_id,
        **stream_values(key),
        "iteration": iteration,
        "rows_fetched": rows_fetched,
        "next_pagination": text,
        "attempt": epoch,
        "status": status.value,
        "created_at": now,
    }
    insert_once(connection, source_cursors, row)


def has_all_sent(connection: Connection, job_id: str, epoch: int) -> bool:
    """True when there is a note that this start of the producer has read all, and sent it."""
    columns = source_cursors.c
    of_start = (columns.job_id == job_id, columns.attempt == epoch, columns.status == CursorStatus.PULLED.value)
    return connection.execute(select(columns.id).where(*of_start).limit(1)).first() is not None


def _newest(connection: Connection, *conditions: Any) -> StreamJob | None:
    row = connection.execute(
        select(stream_jobs).where(*conditions).order_by(stream_jobs.c.created_at.desc()).limit(1)
    ).first()
    return None if row is None else stream_job(row)


def _update(connection: Connection, job_id: str, *conditions: Any, **values: Any) -> None:
    connection.execute(
        update(stream_jobs).where(stream_jobs.c.id == job_id, *conditions).values(**values, updated_at=naive_now())
    )
