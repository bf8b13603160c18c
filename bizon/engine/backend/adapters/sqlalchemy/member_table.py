"""The seats of the members of a stream: rows of ``stream_partitions`` whose plan holds the places of the seat.

A place is an entry ``name: [page, pagination, held]`` of one seat. ``pagination``: where the place continued when the
seat got it, None when nobody knows. Once the seat has committed ``page`` or a later one, its cursor says so instead, if
it names the place. ``held``: the member may still read it. Transactions that move places lock the row of the job first,
so they run one after the other; a commit locks the row of its seat alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bizon.common.errors.errors import OvertakenError
from bizon.engine.backend.adapters.sqlalchemy.partition_table import PartitionTable, holder_of, part_state, take
from bizon.engine.backend.adapters.sqlalchemy.parts import (
    database_time,
    from_text,
    in_one_try,
    in_transaction,
    inserting,
    naive_now,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors, stream_jobs, stream_partitions
from bizon.engine.backend.models import LeaseHolder
from bizon.engine.partitions import ClaimedPlaces, Divide, Seat, SeatState

_columns, _cursors = stream_partitions.c, destination_cursors.c
_SEATS = select(stream_partitions).where(_columns.job_id == bindparam("job")).order_by(_columns.number)
_OF_SEAT = (_columns.job_id == bindparam("the_job"), _columns.number == bindparam("the_number"))
_SEAT = update(stream_partitions).where(*_OF_SEAT)
_LOCK_JOB = update(stream_jobs).where(stream_jobs.c.id == bindparam("the_job")).values(attempt=stream_jobs.c.attempt)
_IN_EPOCH = _LOCK_JOB.where(stream_jobs.c.attempt == bindparam("the_epoch"))
_LAST = select(_cursors.to_source_iteration, _cursors.pagination).where(_cursors.job_id == bindparam("job"))
_LAST_OF_SEAT = _LAST.where(_cursors.partition_number == bindparam("part"))
_LAST_OF_CHAIN = _LAST.where(_cursors.partition_number.is_(None))
_PLACES = "places"
_Places = dict[str, list[Any]]


class MemberTable(PartitionTable):
    """The methods on the seats in ``stream_partitions``."""

    @inserting
    def take_seat(
        self,
        connection: Connection,
        claim: str,
        job_id: str,
        worker: LeaseHolder,
        ttl: float,
        is_dead: Callable[[LeaseHolder], bool],
        instead_of: str | None = None,
    ) -> Seat:
        connection.execute(_LOCK_JOB, {"the_job": job_id})
        now = database_time(connection)
        seats = _seats(connection, job_id)
        own = next((row for row in seats if row.worker in (claim, instead_of) and row.worker is not None), None)
        free = (row for row in seats if row.worker is None or row.expires_at < now or is_dead(holder_of(row)))
        found = own or next(free, None)
        if found is None:
            found = _new_seat(connection, job_id, seats[-1].number + 1 if seats else 0)
        if found.worker != claim:  # else this call has taken it before its connection was lost
            take(connection, found, claim, worker, now, ttl)
        seat = next(row for row in _seats(connection, job_id) if row.number == found.number)
        return Seat(seat.number, seat.epoch, claim)

    @in_transaction
    def supersede_seat(self, connection: Connection, job_id: str, number: int) -> Seat:
        connection.execute(_SEAT.values(epoch=_columns.epoch + 1), {"the_job": job_id, "the_number": number})
        seats = _seats(connection, job_id)
        return next(Seat(row.number, row.epoch) for row in seats if row.number == number)

    @in_transaction
    def claim_places(
        self, connection: Connection, job_id: str, seat: Seat, places: Sequence[str], divide: Divide
    ) -> ClaimedPlaces:
        connection.execute(_LOCK_JOB, {"the_job": job_id})
        rows = _seats(connection, job_id)
        own = _row_of(rows, job_id, seat)
        theirs = {row.number: _places_in(row) for row in rows if row is not own}
        held_by = [number for number, each in theirs.items() if any(each[name][2] for name in places if name in each)]
        if held_by:
            return ClaimedPlaces(tuple(held_by))
        last = _last_page(connection, job_id, seat.number)
        mine = _places_now(connection, job_id, own, divide)
        for name in places:
            mine[name] = [last + 1, mine[name][1] if name in mine else None, True]
            for number, others in theirs.items():
                if name in others:
                    mine[name][1] = others.pop(name)[1]
                    _keep(connection, job_id, number, others)
        _keep(connection, job_id, seat.number, mine)
        known = {name: mine[name][1] for name in places if mine[name][1] is not None}
        return ClaimedPlaces(paginations=known)

    @in_transaction
    def release_places(
        self,
        connection: Connection,
        job_id: str,
        seat: Seat,
        places: Sequence[str] | None,
        divide: Divide,
        *,
        free: bool = False,
    ) -> None:
        connection.execute(_LOCK_JOB, {"the_job": job_id})
        own = _row_of(_seats(connection, job_id), job_id, seat)
        mine = _places_now(connection, job_id, own, divide)
        for name in mine if places is None else places:
            if name in mine:
                mine[name][2] = False
        _keep(connection, job_id, seat.number, mine)
        if free:
            connection.execute(_SEAT.values(worker=None), {"the_job": job_id, "the_number": seat.number})

    @in_one_try
    def note_member(self, connection: Connection, job_id: str, number: int, note: dict[str, Any]) -> None:
        connection.execute(_SEAT.values(next_state=to_text(note)), {"the_job": job_id, "the_number": number})

    @in_transaction
    def get_seats(self, connection: Connection, job_id: str) -> tuple[SeatState, ...]:
        now = database_time(connection)
        return tuple(
            SeatState(
                part_state(row, now),
                {name: held for name, (_, _, held) in _places_in(row).items()},
                from_text(row.next_state),
            )
            for row in _seats(connection, job_id)
        )

    @in_transaction
    def move_to_seats(self, connection: Connection, job_id: str, divide: Divide, *, epoch: int) -> None:
        _lock_in_epoch(connection, job_id, epoch)
        chain = connection.execute(_LAST_OF_CHAIN, {"job": job_id}).all()
        found = from_text(chain[-1].pagination) if chain and chain[-1].pagination else {}
        if not found:
            return
        seats = _seats(connection, job_id) or [_new_seat(connection, job_id, 0)]
        moved = {name: [0, pagination, False] for name, pagination in divide(found).items()}
        _keep(connection, job_id, seats[0].number, {**_places_in(seats[0]), **moved})
        connection.execute(_of_chain(job_id).values(pagination=to_text({})))

    @in_transaction
    def move_to_chain(
        self,
        connection: Connection,
        job_id: str,
        divide: Divide,
        unite: Callable[[dict[str, dict[str, Any]]], dict[str, Any]],
        *,
        epoch: int,
    ) -> None:
        _lock_in_epoch(connection, job_id, epoch)
        places: dict[str, dict[str, Any]] = {}
        for row in _seats(connection, job_id):
            now = _places_now(connection, job_id, row, divide)
            places.update({name: pagination for name, (_, pagination, _) in now.items() if pagination is not None})
            _keep(connection, job_id, row.number, {})
        connection.execute(update(stream_partitions).where(_columns.job_id == job_id).values(worker=None))
        connection.execute(update(stream_jobs).where(stream_jobs.c.id == job_id).values(joined=None))
        if places:
            _keep_in_chain(connection, job_id, to_text(unite(places)) or "")


def _seats(connection: Connection, job_id: str) -> Sequence[Row[Any]]:
    return connection.execute(_SEATS, {"job": job_id}).all()


def _new_seat(connection: Connection, job_id: str, number: int) -> Row[Any]:
    """A seat that nobody has held. Called while the row of the job is locked."""
    values = {"job_id": job_id, "number": number, "epoch": 0, "created_at": naive_now(), "plan": _plan({})}
    connection.execute(insert(stream_partitions).values(values))
    return _seats(connection, job_id)[-1]


def _row_of(rows: Sequence[Row[Any]], job_id: str, seat: Seat) -> Row[Any]:
    """The row of a seat. Raises OvertakenError when somebody has opened a later epoch."""
    found = next((row for row in rows if row.number == seat.number and row.epoch == seat.epoch), None)
    if found is None:
        raise OvertakenError(job_id)
    return found


def _places_in(row: Row[Any]) -> _Places:
    places: _Places = from_text(row.plan)["plan"].get(_PLACES, {})
    return places


def _places_now(connection: Connection, job_id: str, row: Row[Any], divide: Divide) -> _Places:
    """The places of a seat that commits nothing meanwhile, each as its last checkpoint says."""
    places = _places_in(row)
    found = connection.execute(_LAST_OF_SEAT, {"job": job_id, "part": row.number}).all()
    if not found or not places:
        return places
    last, pagination = found[-1].to_source_iteration, from_text(found[-1].pagination) or {}
    later = divide(pagination)
    for name, (page, _, held) in places.items():
        if held and last >= page and name in later:
            places[name] = [last + 1, later[name], held]
    return places


def _last_page(connection: Connection, job_id: str, number: int) -> int:
    found = connection.execute(_LAST_OF_SEAT, {"job": job_id, "part": number}).all()
    return int(found[-1].to_source_iteration) if found else -1


def _plan(places: _Places) -> str:
    """The plan of a seat. It is marked as incomplete, so that nobody takes the seat for a partition."""
    return to_text({"plan": {_PLACES: places}, "last": False}) or ""


def _keep(connection: Connection, job_id: str, number: int, places: _Places) -> None:
    connection.execute(_SEAT.values(plan=_plan(places)), {"the_job": job_id, "the_number": number})


def _of_chain(job_id: str) -> Any:
    return update(destination_cursors).where(_cursors.job_id == job_id, _cursors.partition_number.is_(None))


def _keep_in_chain(connection: Connection, job_id: str, pagination: str) -> None:
    """The last checkpoint of a plain run; one without rows where no plain run has left any."""
    if connection.execute(_of_chain(job_id).values(pagination=pagination)).rowcount:
        return
    job = connection.execute(select(stream_jobs).where(stream_jobs.c.id == job_id)).one()
    values = {
        "id": f"{job_id}-moved",
        "job_id": job_id,
        **{name: getattr(job, name) for name in ("name", "source_name", "stream_name")},
        "destination_name": "",
        "from_source_iteration": 0,
        "to_source_iteration": 0,
        "success": True,
        "created_at": naive_now(),
        "pagination": pagination,
    }
    connection.execute(insert(destination_cursors).values(values))


def _lock_in_epoch(connection: Connection, job_id: str, epoch: int) -> None:
    if connection.execute(_IN_EPOCH, {"the_job": job_id, "the_epoch": epoch}).rowcount != 1:
        raise OvertakenError(job_id)
