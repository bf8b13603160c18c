"""The partitions that a job was planned in; of a joined job they are parts, each with a lease of its own.

A part is taken and kept by compare-and-set, in its row. Each worker that takes it raises its ``epoch``. A commit for
the part compares that number in its own transaction, so a worker that was frozen while another took the part commits
nothing any more. All times of leases are the database's, in UTC.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

from bizon.common.errors.errors import OvertakenError, SourceFetchError
from bizon.engine.backend.adapters.sqlalchemy.job_table import by_id
from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    database_time,
    from_text,
    in_one_try,
    in_transaction,
    inserting,
    naive_now,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors, stream_jobs, stream_partitions
from bizon.engine.backend.models import CommitRecord, JobStatus, LeaseHolder
from bizon.engine.partitions import Partition, PartState, TakenPart

_columns = stream_partitions.c
_ROWS_AT_ONCE = 500
_LAST = "last"  # in the plan of the last partition: without it, a database without transactions has kept only some
_OVER = (JobStatus.SUCCEEDED.value, JobStatus.CANCELED.value)
_OF_PART = (_columns.job_id == bindparam("job"), _columns.number == bindparam("part"))
_AT_WORK = update(stream_partitions).where(*_OF_PART, _columns.epoch == bindparam("start"))
_NOTE_PAGES = _AT_WORK.values(renewed_at=_columns.renewed_at)
_NOTE_END = _AT_WORK.values(done=True, worker=None)
_IS_OVER = select(stream_jobs.c.id).where(stream_jobs.c.id == bindparam("job"), stream_jobs.c.status.in_(_OVER))
_NOTE_STATE = update(stream_jobs).where(stream_jobs.c.id == bindparam("job"))
_NOTE_STATE_OF_PART = update(stream_partitions).where(*_OF_PART)
_OTHER_STATES = select(_columns.number, _columns.next_state).where(
    _columns.job_id == bindparam("job"), _columns.number != bindparam("part"), _columns.next_state != bindparam("state")
)


class PartitionTable(BackendPart):
    """The methods on ``stream_partitions``."""

    @in_transaction
    def keep_partitions(
        self, connection: Connection, job_id: str, plans: Sequence[dict[str, Any]], *, epoch: int
    ) -> tuple[Partition, ...]:
        self._existing(job_id, by_id(connection, job_id), epoch)
        kept = _found(connection, job_id)
        if kept or not plans or _has_cursors(connection, job_id):
            return kept
        connection.execute(delete(stream_partitions).where(_columns.job_id == job_id))
        common, last = {"job_id": job_id, "epoch": epoch, "created_at": naive_now()}, len(plans) - 1
        rows = [
            {**common, "number": number, "plan": to_text({"plan": plan, _LAST: number == last})}
            for number, plan in enumerate(plans)
        ]
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            connection.execute(insert(stream_partitions).values(rows[first : first + _ROWS_AT_ONCE]))
        return _found(connection, job_id)

    @in_transaction
    def get_partitions(self, connection: Connection, job_id: str) -> tuple[Partition, ...]:
        return _found(connection, job_id)

    @in_transaction
    def join_job(self, connection: Connection, job_id: str, *, epoch: int, name: str = "") -> None:
        ours = (stream_jobs.c.id == job_id, stream_jobs.c.attempt == epoch)
        if connection.execute(update(stream_jobs).where(*ours).values(joined=name)).rowcount != 1:
            raise OvertakenError(job_id)

    @inserting
    def take_part(
        self,
        connection: Connection,
        claim: str,
        job_id: str,
        worker: LeaseHolder,
        ttl: float,
        is_dead: Callable[[LeaseHolder], bool],
    ) -> TakenPart | None:
        """``claim`` is the same when this runs again after its connection was lost: it finds what it has taken."""
        now = database_time(connection)
        mine = select(stream_partitions).where(_columns.job_id == job_id, _columns.worker == claim)
        while (row := connection.execute(mine).first()) is None:
            found = _free(connection, job_id, now) or _left_behind(connection, job_id, is_dead)
            if found is None:
                return None
            take(connection, found, claim, worker, now, ttl)
        return TakenPart(row.number, from_text(row.plan)["plan"], row.epoch, claim)

    @in_one_try
    def renew_part(self, connection: Connection, job_id: str, claim: str, ttl: float) -> None:
        now = database_time(connection)
        held = (_columns.job_id == job_id, _columns.worker == claim)
        renewed = {"renewed_at": now, "expires_at": now + timedelta(seconds=ttl)}
        connection.execute(update(stream_partitions).where(*held).values(**renewed))

    @in_transaction
    def give_back_part(self, connection: Connection, job_id: str, claim: str) -> bool:
        held = (_columns.job_id == job_id, _columns.worker == claim)
        return connection.execute(update(stream_partitions).where(*held).values(worker=None)).rowcount == 1

    @in_transaction
    def count_parts_left(self, connection: Connection, job_id: str) -> int:
        left = select(func.count()).where(_columns.job_id == job_id, _columns.done.is_not(True))
        return int(connection.execute(left).scalar_one())

    @in_transaction
    def get_parts(self, connection: Connection, job_id: str) -> tuple[PartState, ...]:
        now = database_time(connection)
        rows = connection.execute(select(stream_partitions).where(_columns.job_id == job_id).order_by(_columns.number))
        return tuple(part_state(row, now) for row in rows)


def _found(connection: Connection, job_id: str) -> tuple[Partition, ...]:
    """All partitions of a job; none when a start has died while it kept them."""
    query = select(_columns.number, _columns.plan).where(_columns.job_id == job_id).order_by(_columns.number)
    rows = [(row.number, from_text(row.plan)) for row in connection.execute(query)]
    if not rows or not rows[-1][1][_LAST] or [number for number, _ in rows] != list(range(len(rows))):
        return ()
    return tuple(Partition(number, noted["plan"]) for number, noted in rows)


def _has_cursors(connection: Connection, job_id: str) -> bool:
    found = select(destination_cursors.c.id).where(destination_cursors.c.job_id == job_id)
    return connection.execute(found.limit(1)).first() is not None


def note_commit(connection: Connection, record: CommitRecord, now: datetime) -> None:
    """Let a worker commit pages of its part, the last ones too. Raises OvertakenError when another worker has taken the
    part since, and when the job is over."""
    note = _NOTE_PAGES if record.pagination else _NOTE_END
    place = {"job": record.job_id, "part": record.partition, "start": record.epoch}
    is_over = connection.execute(_IS_OVER, {"job": record.job_id}).first() is not None
    if is_over or connection.execute(note, place).rowcount != 1:
        raise OvertakenError(record.job_id)
    if record.next_state is not None:
        _note_state(connection, record, now)


def _note_state(connection: Connection, record: CommitRecord, now: datetime) -> None:
    """Keep the state for the next job. Raises SourceFetchError when another part has returned a different one: which of
    them counts must not depend on who commits last."""
    state, place = to_text(record.next_state), {"job": record.job_id, "part": record.partition}
    connection.execute(_NOTE_STATE.values(incremental_state=state, updated_at=now), {"job": record.job_id})
    others = connection.execute(_OTHER_STATES, {**place, "state": state})  # complete: the row of the job is locked
    other = next((row.number for row in others if from_text(row.next_state) != record.next_state), None)
    if other is not None:
        raise SourceFetchError(
            f"partition {record.partition}, iteration {record.to_source_iteration}: next_state differs from the one of "
            f"partition {other}; return it in one partition only, or the same in all of them"
        )
    connection.execute(_NOTE_STATE_OF_PART.values(next_state=state), place)


def _free(connection: Connection, job_id: str, now: datetime) -> Row[Any] | None:
    """The first part that nobody holds; one that another worker is taking at this moment is skipped where the database
    can do so."""
    is_free = or_(_columns.worker.is_(None), _columns.expires_at < now)
    query = select(stream_partitions).where(_columns.job_id == job_id, _columns.done.is_not(True), is_free)
    return connection.execute(query.order_by(_columns.number).limit(1).with_for_update(skip_locked=True)).first()


def _left_behind(connection: Connection, job_id: str, is_dead: Callable[[LeaseHolder], bool]) -> Row[Any] | None:
    """The first part whose worker is known to be dead."""
    held = (_columns.job_id == job_id, _columns.done.is_not(True), _columns.worker.is_not(None))
    rows = connection.execute(select(stream_partitions).where(*held).order_by(_columns.number)).all()
    return next((row for row in rows if is_dead(holder_of(row))), None)


def take(connection: Connection, row: Row[Any], claim: str, worker: LeaseHolder, now: datetime, ttl: float) -> None:
    """Take a part, unless somebody has taken or finished it since it was seen."""
    unchanged = (_columns.job_id == row.job_id, _columns.number == row.number, _columns.epoch == row.epoch)
    values = {
        "epoch": row.epoch + 1,
        "worker": claim,
        "host": worker.host,
        "pid": worker.pid,
        "place": worker.place,
        "started": worker.started,
        "renewed_at": now,
        "expires_at": now + timedelta(seconds=ttl),
    }
    connection.execute(update(stream_partitions).where(*unchanged, _columns.done.is_not(True)).values(values))


def holder_of(row: Row[Any]) -> LeaseHolder:
    return LeaseHolder(row.worker, row.host, row.pid, row.place, row.started)


def part_state(row: Row[Any], now: datetime) -> PartState:
    if row.done or row.worker is None:
        return PartState(row.number, bool(row.done))
    idle = max((now - row.renewed_at).total_seconds(), 0.0)
    return PartState(row.number, False, holder_of(row), idle, (row.expires_at - now).total_seconds())
