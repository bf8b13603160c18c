"""How far the source was read, for display; and which start of a producer has sent everything."""

from typing import Any

from sqlalchemy import Connection, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    in_transaction,
    insert_once,
    inserting,
    naive_now,
    stream_values,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import source_cursors
from bizon.engine.backend.models import CursorStatus, SourcePosition, StreamKey

_columns = source_cursors.c


class SourceCursorTable(BackendPart):
    """The methods on ``source_cursors``, which has one row for each job, start of its producer, and status."""

    @inserting
    def create_source_cursor(
        self,
        connection: Connection,
        cursor_id: str,
        job_id: str,
        key: StreamKey,
        iteration: int,
        rows_fetched: int,
        next_pagination: dict[str, Any],
        cursor_status: CursorStatus = CursorStatus.PULLING,
    ) -> None:
        position = {
            "iteration": iteration,
            "rows_fetched": rows_fetched,
            "next_pagination": to_text(next_pagination),
        }
        _replace(connection, cursor_id, job_id, key, cursor_status, 0, position)

    @in_transaction
    def get_source_position(self, connection: Connection, job_id: str) -> SourcePosition | None:
        of_job = (_columns.job_id == job_id, _columns.status == CursorStatus.PULLING.value)
        columns = (_columns.iteration, _columns.rows_fetched)
        row = connection.execute(select(*columns).where(*of_job).order_by(_columns.iteration.desc()).limit(1)).first()
        return None if row is None else SourcePosition(row.iteration, row.rows_fetched)

    @inserting
    def note_all_sent(self, connection: Connection, cursor_id: str, job_id: str, key: StreamKey, epoch: int) -> None:
        position = {"iteration": 0, "rows_fetched": 0, "next_pagination": to_text({})}
        _replace(connection, cursor_id, job_id, key, CursorStatus.PULLED, epoch, position)

    @in_transaction
    def has_all_sent(self, connection: Connection, job_id: str, epoch: int) -> bool:
        of_start = _of_start(job_id, CursorStatus.PULLED, epoch)
        return connection.execute(select(_columns.id).where(*of_start).limit(1)).first() is not None


def _replace(
    connection: Connection,
    cursor_id: str,
    job_id: str,
    key: StreamKey,
    status: CursorStatus,
    epoch: int,
    position: dict[str, Any],
) -> None:
    """Keep one row, since its pagination may be long."""
    now = naive_now()
    change = update(source_cursors).where(*_of_start(job_id, status, epoch))
    if connection.execute(change.values(**position, updated_at=now)).rowcount:
        return
    row = {
        "id": cursor_id,
        "job_id": job_id,
        **stream_values(key),
        **position,
        "attempt": epoch,
        "status": status.value,
        "created_at": now,
    }
    insert_once(connection, source_cursors, row)


def _of_start(job_id: str, status: CursorStatus, epoch: int) -> tuple[Any, ...]:
    return (_columns.job_id == job_id, _columns.status == status.value, _columns.attempt == epoch)
