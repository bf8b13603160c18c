"""Destination cursors: the pages that a job has committed.

The statements of a commit are built once, since they run for every batch.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from bizon.common.errors.errors import BackendError, OvertakenError
from bizon.engine.backend.adapters.sqlalchemy.partition_table import note_commit
from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    destination_cursor,
    enforces_keys,
    in_transaction,
    inserting,
    naive_now,
    of_stream,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import (
    destination_cursors,
    source_cursors,
    stream_jobs,
    stream_partitions,
)
from bizon.engine.backend.models import CommitRecord, Committed, DestinationCursor, JobStatus, StreamKey

_cursors = destination_cursors.c
_current_job = (stream_jobs.c.id == bindparam("job"), stream_jobs.c.attempt == bindparam("epoch"))
_TOUCH = update(stream_jobs).where(*_current_job).values(updated_at=bindparam("now"))
_TOUCH_WITH_STATE = _TOUCH.values(incremental_state=bindparam("state"))
_LAST_OF_ALL = select(func.max(_cursors.to_source_iteration)).where(
    _cursors.job_id == bindparam("job"), _cursors.success
)
_IN_CHAIN = _cursors.partition_number.is_(None)
_IN_PART = _cursors.partition_number == bindparam("part")
_LAST_PAGE, _LAST_PAGE_OF_PART = _LAST_OF_ALL.where(_IN_CHAIN), _LAST_OF_ALL.where(_IN_PART)
_BY_ID = select(destination_cursors).where(_cursors.id == bindparam("cursor"))
_INSERT = insert(destination_cursors)
_OF_JOB = (
    select(destination_cursors)
    .where(_cursors.job_id == bindparam("job"), _cursors.success)
    .order_by(_cursors.partition_number.nulls_last(), _cursors.to_source_iteration)
)
_OF_PART = _OF_JOB.where(_IN_PART)
_LONG = 4_000  # characters of a pagination
_FORGET_BEFORE = (  # a run resumes from the last one; keeping long ones would make the state grow quadratically
    update(destination_cursors)
    .where(_cursors.job_id == bindparam("job"), _cursors.to_source_iteration < bindparam("begins"))
    .where(func.length(_cursors.pagination) > _LONG)
    .values(pagination=None)
)
_FORGET_BEFORE_IN_PART = _FORGET_BEFORE.where(_IN_PART)
_EXTEND_ANY = (
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
_EXTEND, _EXTEND_IN_PART = _EXTEND_ANY.where(_IN_CHAIN), _EXTEND_ANY.where(_IN_PART)


class DestinationCursorTable(BackendPart):
    """The methods on ``destination_cursors``."""

    @inserting
    def create_destination_cursor(
        self, connection: Connection, cursor_id: str, record: CommitRecord
    ) -> DestinationCursor:
        now = naive_now()
        if record.partition is None:
            _touch_job(connection, record, now)
            last = connection.execute(_LAST_PAGE, {"job": record.job_id}).scalar()
        else:
            note_commit(connection, record, now)
            last = connection.execute(_LAST_PAGE_OF_PART, {"job": record.job_id, "part": record.partition}).scalar()
        if last is not None and last >= record.from_source_iteration:
            if (row := connection.execute(_BY_ID, {"cursor": cursor_id}).first()) is not None:
                return destination_cursor(row)  # this call committed it before its connection was lost
            part = "" if record.partition is None else f" of partition {record.partition}"
            raise BackendError(f"pages up to {last}{part} of job '{record.job_id}' are committed already")
        if record.extends and last is not None:
            extension = _extension(cursor_id, record, last, now)
            if record.partition is None:
                connection.execute(_EXTEND, extension)
            else:
                connection.execute(_EXTEND_IN_PART, {**extension, "part": record.partition})
            return destination_cursor(connection.execute(_BY_ID, {"cursor": cursor_id}).one())
        return _insert(connection, cursor_id, record, now)

    @in_transaction
    def committed(self, connection: Connection, job_id: str, partition: int | None = None) -> Committed:
        query, values = (
            (_OF_JOB, {"job": job_id}) if partition is None else (_OF_PART, {"job": job_id, "part": partition})
        )
        return Committed(tuple(destination_cursor(row) for row in connection.execute(query, values)))

    @in_transaction
    def prune_cursors(self, connection: Connection, key: StreamKey, keep: Sequence[str]) -> None:
        over = (JobStatus.SUCCEEDED.value, JobStatus.CANCELED.value)
        finished = select(stream_jobs.c.id).where(
            *of_stream(stream_jobs, key), stream_jobs.c.status.in_(over), stream_jobs.c.id.not_in(keep)
        )
        for table in (source_cursors, destination_cursors, stream_partitions):
            connection.execute(delete(table).where(table.c.job_id.in_(finished)))


def _touch_job(connection: Connection, record: CommitRecord, now: datetime) -> None:
    """Note the state of a batch on its job. Raises OvertakenError when the epoch is not the job's current one."""
    touch, values = _TOUCH, {"job": record.job_id, "epoch": record.epoch, "now": now}
    if record.next_state is not None:
        touch, values["state"] = _TOUCH_WITH_STATE, to_text(record.next_state)
    if connection.execute(touch, values).rowcount != 1:
        raise OvertakenError(record.job_id)


def _insert(connection: Connection, cursor_id: str, record: CommitRecord, now: datetime) -> DestinationCursor:
    pagination = to_text(record.pagination) or ""
    values = {
        "id": cursor_id,
        "job_id": record.job_id,
        **stream_values(record.key),
        "destination_name": record.destination_name,
        "from_source_iteration": record.from_source_iteration,
        "to_source_iteration": record.to_source_iteration,
        "rows_written": record.rows_written,
        "dead_letters": record.dead_letters,
        "success": True,
        "created_at": now,
        "pagination": pagination,
        "receipt": to_text(record.receipt),
        "letters_receipt": to_text(record.letters_receipt),
        "partition_number": record.partition,
    }
    if len(pagination) > _LONG:
        before = {"job": record.job_id, "begins": record.from_source_iteration}
        if record.partition is None:
            connection.execute(_FORGET_BEFORE, before)
        else:
            connection.execute(_FORGET_BEFORE_IN_PART, {**before, "part": record.partition})
    if enforces_keys(connection):
        connection.execute(_INSERT, values)
    elif not _merged(connection, {name: value for name, value in values.items() if value is not None}):
        raise BackendError(f"pages from {record.from_source_iteration} of job '{record.job_id}' are committed already")
    return DestinationCursor(
        id=cursor_id,
        job_id=record.job_id,
        from_source_iteration=record.from_source_iteration,
        to_source_iteration=record.to_source_iteration,
        rows_written=record.rows_written,
        pagination=record.pagination,
        created_at=now.replace(tzinfo=UTC),
        dead_letters=record.dead_letters,
        partition=record.partition,
    )


def _merged(connection: Connection, values: dict[str, Any]) -> bool:
    """Insert a cursor unless its pages are committed. It is one statement for a database without transactions: when
    several merge at once, one of them finds nothing."""
    dialect = connection.dialect.identifier_preparer
    table = dialect.quote(f"{connection.schema_for_object(destination_cursors)}.{destination_cursors.name}")
    columns, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
    merge = (
        f"MERGE {table} AS known USING (SELECT 1 AS one) AS single ON known.job_id = :job_id AND known.success "
        f"AND known.to_source_iteration >= :from_source_iteration "
        f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({parameters})"
    )
    return connection.execute(text(merge), values).rowcount == 1


def _extension(cursor_id: str, record: CommitRecord, last: int, now: datetime) -> dict[str, Any]:
    """The new id shows a repeat of the same call that its work is done."""
    return {
        "job": record.job_id,
        "last": last,
        "new_id": cursor_id,
        "to": record.to_source_iteration,
        "rows": record.rows_written,
        "letters": record.dead_letters,
        "pages": to_text(record.pagination),
        "now": now,
    }
