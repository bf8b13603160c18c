"""Jobs: created, found, and changed."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, delete, or_, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    enforces_keys,
    from_text,
    in_one_try,
    in_the_stream,
    in_transaction,
    insert_once,
    inserting,
    naive_now,
    storable,
    stream_job,
    stream_values,
    the_stream,
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
_columns = stream_jobs.c
_BY_ID = select(stream_jobs).where(_columns.id == bindparam("the_id"))
_NEWEST = select(stream_jobs).where(*in_the_stream(stream_jobs)).order_by(_columns.created_at.desc()).limit(1)
_SUCCESSFUL = _NEWEST.where(_columns.status == JobStatus.SUCCEEDED.value)
_NEWEST_SUCCESSFUL = _SUCCESSFUL.where(_columns.sync_mode != WINDOW)
_NEWEST_WINDOW = _SUCCESSFUL.where(_columns.sync_mode == WINDOW)


@cache
def _changing(*names: str) -> Update:
    """A change of these columns of one job, with the parameter ``the_id`` and the parameters that ``_new`` makes."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in (*names, "updated_at")}
    return update(stream_jobs).where(_columns.id == bindparam("the_id")).values(values)


_IN_EPOCH = _columns.attempt == bindparam("the_epoch")
_NOTE_OUTPUT = _changing("output").where(_IN_EPOCH)
_END = _changing("status", "error_message").where(
    or_(_IN_EPOCH, _columns.producer_epoch == bindparam("the_epoch")), _columns.status != JobStatus.SUCCEEDED.value
)
_UNDO_CANCELLATION = _changing("status", "error_message").where(
    _columns.status == JobStatus.CANCELED.value  # nobody has resumed it since
)
_COUNT_A_CONSUMER = _changing().values(attempt=_columns.attempt + 1)
_COUNT_A_START = _COUNT_A_CONSUMER.values(producer_epoch=_columns.attempt + 1)


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
        seen: datetime | None = None,
    ) -> StreamJob:
        newest, now = _first(connection, _NEWEST, the_stream(key)), naive_now().replace(tzinfo=UTC)
        if newest is not None and newest.id != job_id:
            self._check_not_later(newest, seen)
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
        later = _first(connection, _NEWEST, the_stream(key))
        if later is not None and later.id != job_id:  # this run was frozen since it looked, within this transaction
            connection.execute(delete(stream_jobs).where(_columns.id == job_id))  # a database may not undo it
            self._check_not_later(later, created_at - _TICK)
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
            before = {"status": instead_of.status.value, "error_message": instead_of.error_message}
            connection.execute(_UNDO_CANCELLATION, {"the_id": instead_of.id, **_new(before)})
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
        return _first(connection, _NEWEST, the_stream(key))

    @in_transaction
    def get_last_successful_stream_job(self, connection: Connection, key: StreamKey) -> StreamJob | None:
        return _first(connection, _NEWEST_SUCCESSFUL, the_stream(key))

    @in_transaction
    def get_last_successful_window(self, connection: Connection, key: StreamKey) -> StreamJob | None:
        return _first(connection, _NEWEST_WINDOW, the_stream(key))

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
        values = {"status": job_status.value, "error_message": storable(error_message, ERROR_LENGTH)}
        if epoch is None:
            _update(connection, job_id, **values)
        else:
            connection.execute(_END, {"the_id": job_id, "the_epoch": epoch, **_new(values)})

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
        values = _new({"output": to_text(output)})
        connection.execute(_NOTE_OUTPUT, {"the_id": job_id, "the_epoch": epoch, **values})

    @in_transaction
    def open_epoch(self, connection: Connection, job_id: str, role: Role | None = None) -> int:
        if not enforces_keys(connection):
            return self._existing(job_id, _open_epoch_by_comparing(connection, job_id, role)).attempt
        # No other start can get the same number: this transaction holds the row until it ends.
        count = _COUNT_A_CONSUMER if role is Role.CONSUMER else _COUNT_A_START
        connection.execute(count, {"the_id": job_id, **_new({})})
        return self._existing(job_id, by_id(connection, job_id)).attempt

    @in_transaction
    def check_epoch(self, connection: Connection, job_id: str, epoch: int) -> None:
        self._existing(job_id, by_id(connection, job_id), epoch)


def by_id(connection: Connection, job_id: str) -> StreamJob | None:
    """The job, or None."""
    return _first(connection, _BY_ID, {"the_id": job_id})


def _first(connection: Connection, jobs: Select[Any], parameters: dict[str, Any]) -> StreamJob | None:
    row = connection.execute(jobs, parameters).first()
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


def _update(connection: Connection, job_id: str, **values: Any) -> None:
    connection.execute(_changing(*values), {"the_id": job_id, **_new(values)})


def _new(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a statement of ``_changing``."""
    return {f"new_{name}": value for name, value in values.items()} | {"new_updated_at": naive_now()}
