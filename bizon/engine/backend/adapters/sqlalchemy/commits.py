"""Destination cursors: what a job has committed. Each function runs in the caller's transaction.

The statements of a commit are built once: they run for every batch.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, func, insert, select, text, update

from bizon.common.clock import as_utc
from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.engine.backend.adapters.sqlalchemy.rows import (
    destination_cursor,
    enforces_keys,
    naive_now,
    of_stream,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors, source_cursors, stream_jobs
from bizon.engine.backend.models import CommitRecord, DestinationCursor, JobStatus, StreamKey

_cursors = destination_cursors.c
_current_job = (stream_jobs.c.id == bindparam("job"), stream_jobs.c.attempt == bindparam("epoch"))
_TOUCH = update(stream_jobs).where(*_current_job).values(updated_at=bindparam("now"))
_TOUCH_WITH_STATE = _TOUCH.values(incremental_state=bindparam("state"))
_LAST_PAGE = select(func.max(_cursors.to_source_iteration)).where(_cursors.job_id == bindparam("job"), _cursors.success)
_BY_ID = select(destination_cursors).where(_cursors.id == bindparam("cursor"))
_INSERT = insert(destination_cursors)
_LONG = 4_000  # characters of a pagination
_FORGET_BEFORE = (  # a run resumes from the last one; long ones would make the state grow by the square of the pages
    update(destination_cursors)
    .where(_cursors.job_id == bindparam("job"), _cursors.to_source_iteration < bindparam("begins"))
    .where(func.length(_cursors.pagination) > _LONG)
    .values(pagination=None)
)
_EXTEND = (
    update(destination_cursors)
    .where(_cursors.job_id == bindparam("job"), _cursors.to_source_iteration == bindparam("last"), _cursors.success)
    .values(
        id=bindparam("new_id"),
        to_source_iteration=bindparam("to"),
        rows_written=_cursors.rows_written + bindparam("rows"),
        dead_letters=_cursors.dead_letters + bindparam("letters"),
        pagination=bindparam("pages"),
        updated_at=bindparam("now"),
    )
)


def record(connection: Connection, cursor_id: str, commit: CommitRecord) -> DestinationCursor:
    """Insert the cursor of a batch and note its state on the job. Raises BackendError for a run that was overtaken.

    When the same call did so before its connection was lost, the cursor is there already, and is the answer.
    """
    now = naive_now()
    on_job: dict[str, Any] = {"job": commit.job_id, "epoch": commit.epoch, "now": now}
    touch = _TOUCH
    if commit.next_state is not None:
        touch, on_job["state"] = _TOUCH_WITH_STATE, to_text(commit.next_state)
    if connection.execute(touch, on_job).rowcount != 1:
        raise OvertakenError(commit.job_id)
    committed = connection.execute(_LAST_PAGE, {"job": commit.job_id}).scalar()
    if committed is not None and committed >= commit.from_source_iteration:
        if (row := connection.execute(_BY_ID, {"cursor": cursor_id}).first()) is not None:
            return destination_cursor(row)
        raise BackendError(f"pages up to {committed} of job '{commit.job_id}' are committed already")
    if commit.extends and committed is not None:
        connection.execute(_EXTEND, _extension(cursor_id, commit, committed, now))
        return destination_cursor(connection.execute(_BY_ID, {"cursor": cursor_id}).one())
    pagination = to_text(commit.pagination) or ""
    values = {
        "id": cursor_id,
        "job_id": commit.job_id,
        **stream_values(commit.key),
        "destination_name": commit.destination_name,
        "from_source_iteration": commit.from_source_iteration,
        "to_source_iteration": commit.to_source_iteration,
        "rows_written": commit.rows_written,
        "dead_letters": commit.dead_letters,
        "success": True,
        "created_at": now,
        "pagination": pagination,
        **{
            name: to_text(receipt)
            for name, receipt in (("receipt", commit.receipt), ("letters_receipt", commit.letters_receipt))
            if receipt is not None
        },
    }
    if len(pagination) > _LONG:
        connection.execute(_FORGET_BEFORE, {"job": commit.job_id, "begins": commit.from_source_iteration})
    if enforces_keys(connection):
        connection.execute(_INSERT, values)
    elif not _merged(connection, values):
        raise BackendError(f"pages from {commit.from_source_iteration} of job '{commit.job_id}' are committed already")
    return DestinationCursor(
        id=cursor_id,
        job_id=commit.job_id,
        from_source_iteration=commit.from_source_iteration,
        to_source_iteration=commit.to_source_iteration,
        rows_written=commit.rows_written,
        pagination=commit.pagination,
        created_at=as_utc(now),
        dead_letters=commit.dead_letters,
    )


def _merged(connection: Connection, values: dict[str, Any]) -> bool:
    """Insert a cursor unless its pages are committed, in one statement: where there are no transactions, of several
    that merge at once one finds nothing."""
    dialect = connection.dialect.identifier_preparer
    table = dialect.quote(f"{connection.schema_for_object(destination_cursors)}.{destination_cursors.name}")
    columns, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
    merge = (
        f"MERGE {table} AS known USING (SELECT 1 AS one) AS single ON known.job_id = :job_id AND known.success "
        f"AND known.to_source_iteration >= :from_source_iteration "
        f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({parameters})"
    )
    return connection.execute(text(merge), values).rowcount == 1


def _extension(cursor_id: str, commit: CommitRecord, committed: int, now: datetime) -> dict[str, Any]:
    """The new id tells the same call, made again, that it is done."""
    return {
        "job": commit.job_id,
        "last": committed,
        "new_id": cursor_id,
        "to": commit.to_source_iteration,
        "rows": commit.rows_written,
        "letters": commit.dead_letters,
        "pages": to_text(commit.pagination),
        "now": now,
    }


def last(connection: Connection, job_id: str) -> DestinationCursor | None:
    """The cursor of the last committed page."""
    row = connection.execute(
        select(destination_cursors)
        .where(_cursors.job_id == job_id, _cursors.success)
        .order_by(_cursors.to_source_iteration.desc())
        .limit(1)
    ).first()
    return None if row is None else destination_cursor(row)


def of_job(connection: Connection, job_id: str) -> list[DestinationCursor]:
    """All cursors of the job, in page order."""
    chosen = select(destination_cursors).where(_cursors.job_id == job_id, _cursors.success)
    return [destination_cursor(row) for row in connection.execute(chosen.order_by(_cursors.to_source_iteration))]


def prune(connection: Connection, key: StreamKey, keep: Sequence[str]) -> None:
    """Remove the cursors of finished jobs of a stream."""
    over = (JobStatus.SUCCEEDED.value, JobStatus.CANCELED.value)
    finished = select(stream_jobs.c.id).where(
        *of_stream(stream_jobs, key), stream_jobs.c.status.in_(over), stream_jobs.c.id.not_in(keep)
    )
    for table in (source_cursors, destination_cursors):
        connection.execute(delete(table).where(table.c.job_id.in_(finished)))


def total(connection: Connection, job_id: str, column: Column[int]) -> int:
    """The sum of a column over the job's cursors."""
    found = connection.execute(select(func.sum(column)).where(_cursors.job_id == job_id, _cursors.success)).scalar()
    return int(found or 0)
