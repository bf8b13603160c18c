"""Destination cursors: what a job has committed. Each function runs in the caller's transaction."""

from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Connection, func, insert, select, update

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy.rows import destination_cursor, naive_now, stream_values, to_text
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors, stream_jobs
from bizon.engine.backend.models import CommitRecord, DestinationCursor

_cursors = destination_cursors.c


def overtaken(job_id: str) -> BackendError:
    """What a run is told whose job another one goes on with."""
    return BackendError(f"job '{job_id}' was taken over by another run; this one stops")


def record(connection: Connection, commit: CommitRecord) -> DestinationCursor:
    """Insert the cursor of a batch and note its state on the job. Raises BackendError for a run that was overtaken."""
    on_job: dict[str, Any] = {"updated_at": naive_now()}
    if commit.next_state is not None:
        on_job["incremental_state"] = to_text(commit.next_state)
    ours = update(stream_jobs).where(stream_jobs.c.id == commit.job_id, stream_jobs.c.attempt == commit.epoch)
    if connection.execute(ours.values(on_job)).rowcount != 1:
        raise overtaken(commit.job_id)
    committed = connection.execute(
        select(func.max(_cursors.to_source_iteration)).where(_cursors.job_id == commit.job_id, _cursors.success)
    ).scalar()
    if committed is not None and committed >= commit.from_source_iteration:
        raise BackendError(f"pages up to {committed} of job '{commit.job_id}' are committed already")
    row = {
        "id": uuid4().hex,
        "job_id": commit.job_id,
        **stream_values(commit.key),
        "destination_name": commit.destination_name,
        "from_source_iteration": commit.from_source_iteration,
        "to_source_iteration": commit.to_source_iteration,
        "rows_written": commit.rows_written,
        "dead_letters": commit.dead_letters,
        "success": True,
        "created_at": naive_now(),
        "pagination": to_text(commit.pagination),
    }
    connection.execute(insert(destination_cursors).values(row))
    stored = connection.execute(select(destination_cursors).where(_cursors.id == row["id"])).one()
    return destination_cursor(stored)


def last(connection: Connection, job_id: str) -> DestinationCursor | None:
    """The cursor of the last committed page."""
    row = connection.execute(
        select(destination_cursors)
        .where(_cursors.job_id == job_id, _cursors.success)
        .order_by(_cursors.to_source_iteration.desc())
        .limit(1)
    ).first()
    return None if row is None else destination_cursor(row)


def total(connection: Connection, job_id: str, column: Column[int]) -> int:
    """The sum of a column over the job's cursors."""
    found = connection.execute(select(func.sum(column)).where(_cursors.job_id == job_id, _cursors.success)).scalar()
    return int(found or 0)
