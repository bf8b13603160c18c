"""The lease of a stream: one row, taken and kept by compare-and-set, which works on every SQL database.

All times are the database's, in UTC.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from bizon.common.safe_log import logger
from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    database_time,
    enforces_keys,
    in_one_try,
    in_the_stream,
    in_transaction,
    insert_once,
    of_stream,
    stream_values,
    the_stream,
)
from bizon.engine.backend.adapters.sqlalchemy.session_locks import is_gone, lease_lock, longest_silence
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_leases
from bizon.engine.backend.models import Lease, LeaseHolder, StreamKey

_NOBODY = ""  # the owner of a row that anyone may take
_LONG_AGO = datetime(2000, 1, 1)  # noqa: DTZ001 - naive, as all times here
_LOOK = 0.5  # seconds between two looks at a lease whose holder may have died
_columns = stream_leases.c
_HELD = select(stream_leases).where(*in_the_stream(stream_leases), _columns.owner != _NOBODY)
_OWN = (*in_the_stream(stream_leases), _columns.owner == bindparam("the_owner"))
_RELEASE = delete(stream_leases).where(*_OWN)
_RENEW = (
    update(stream_leases)
    .where(*_OWN)
    .values(renewed_at=bindparam("new_renewed_at"), expires_at=bindparam("new_expires_at"))
)


class LeaseTable(BackendPart):
    """The methods on ``stream_leases``."""

    def acquire_lease(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        self._transactions.attempt(lambda: self._database.prove_alive(key, holder.owner))
        standing = self._acquire_once_sure(key, holder, ttl, is_dead)
        if standing is not None:
            self._database.stop_proving(key, holder.owner)
        return standing

    def heartbeat_interval(self, ttl: float) -> float:
        return self._database.heartbeat_interval(ttl)

    def renew_lease(self, key: StreamKey, owner: str, ttl: float) -> bool:
        """Never waits, since the next heartbeat comes soon. The row is first: it does not wait for a lost session."""
        held = self._renew(key, owner, ttl)
        if held:
            self._transactions.attempt(lambda: self._database.prove_alive(key, owner), patient=False)
        else:
            self._database.stop_proving(key, owner)
        return held

    def release_lease(self, key: StreamKey, owner: str) -> None:
        self._release(key, owner)
        self._database.stop_proving(key, owner)

    @in_transaction
    def get_lease(self, connection: Connection, key: StreamKey) -> Lease | None:
        row = _row(connection, key)
        return None if row is None else _lease(connection, key, row, database_time(connection))

    def _acquire_once_sure(
        self, key: StreamKey, holder: LeaseHolder, ttl: float, is_dead: Callable[[LeaseHolder], bool]
    ) -> Lease | None:
        """Take the lease; None when taken, else the one in the way. While it is not certain that the holder has died,
        wait until its next heartbeats are missing, or one arrives, or its session is back."""
        standing = first = self._acquire(key, holder, ttl, is_dead)
        while standing is not None and standing.gone and standing.silent_in > 0:
            if first is None or standing.renewed_at != first.renewed_at:
                break
            if standing is first:
                logger.info(
                    f"The run on host '{standing.holder.host}' has lost its session; taking over in "
                    f"{standing.silent_in:.0f} s, unless it sends a heartbeat"
                )
            self._transactions.pause(min(standing.silent_in, _LOOK))
            standing = self._acquire(key, holder, ttl, is_dead)
        return standing

    @in_transaction
    def _acquire(
        self,
        connection: Connection,
        key: StreamKey,
        holder: LeaseHolder,
        ttl: float,
        is_dead: Callable[[LeaseHolder], bool],
    ) -> Lease | None:
        """Take the lease; None when taken, else the one in the way."""
        while True:  # another run may take the lease or release it between the look and the change
            now = database_time(connection)
            values = {
                "owner": holder.owner,
                "host": holder.host,
                "pid": holder.pid,
                "place": holder.place,
                "started": holder.started,
                "acquired_at": now,
                "renewed_at": now,
                "expires_at": now + timedelta(seconds=ttl),
            }
            row = _row(connection, key)
            if row is None:
                taken = _insert(connection, key, values)
            else:
                standing = _lease(connection, key, row, now)
                if standing.holder.owner != holder.owner and _keeps_others_out(standing, is_dead):
                    return standing
                taken = _replace(connection, key, row, values)
            if taken:
                return None

    @in_one_try
    def _renew(self, connection: Connection, key: StreamKey, owner: str, ttl: float) -> bool:
        now = database_time(connection)
        times = {"new_renewed_at": now, "new_expires_at": now + timedelta(seconds=ttl)}
        return connection.execute(_RENEW, {"the_owner": owner, **the_stream(key), **times}).rowcount >= 1

    @in_transaction
    def _release(self, connection: Connection, key: StreamKey, owner: str) -> None:
        connection.execute(_RELEASE, {"the_owner": owner, **the_stream(key)})


def _keeps_others_out(lease: Lease, is_dead: Callable[[LeaseHolder], bool]) -> bool:
    is_gone_for_sure = lease.gone and lease.silent_in <= 0
    return lease.expires_in > 0 and not is_gone_for_sure and not is_dead(lease.holder)


def _insert(connection: Connection, key: StreamKey, values: dict[str, Any]) -> bool:
    if not enforces_keys(connection):
        return _insert_and_compare(connection, key, values)
    return insert_once(connection, stream_leases, {**stream_values(key), **values})


def _insert_and_compare(connection: Connection, key: StreamKey, values: dict[str, Any]) -> bool:
    """For a database without keys, where several may insert: insert a row that belongs to nobody, then take it unless
    somebody holds another one. Statements that change the same table do not run at once, so one run succeeds."""
    nobody = {**values, "owner": _NOBODY, "renewed_at": _LONG_AGO, "expires_at": _LONG_AGO}
    connection.execute(insert(stream_leases).values(**stream_values(key), **nobody))
    other = stream_leases.alias()
    held = select(other.c.owner).where(*of_stream(other, key), other.c.owner != _NOBODY)
    free = (*of_stream(stream_leases, key), stream_leases.c.owner == _NOBODY, ~held.exists())
    return connection.execute(update(stream_leases).where(*free).values(values)).rowcount >= 1


def _replace(connection: Connection, key: StreamKey, row: Row[Any], values: dict[str, Any]) -> bool:
    """Take over from the holder that was found, unless the row has changed since."""
    unchanged = (stream_leases.c.owner == row.owner, stream_leases.c.renewed_at == row.renewed_at)
    taken = connection.execute(update(stream_leases).where(*of_stream(stream_leases, key), *unchanged).values(values))
    return taken.rowcount >= 1


def _row(connection: Connection, key: StreamKey) -> Row[Any] | None:
    return connection.execute(_HELD, the_stream(key)).first()


def _lease(connection: Connection, key: StreamKey, row: Row[Any], now: datetime) -> Lease:
    schema = connection.schema_for_object(stream_leases)
    on_postgres = connection.dialect.name == "postgresql"
    ttl = (row.expires_at - row.renewed_at).total_seconds()
    idle = _seconds(now - row.renewed_at)
    return Lease(
        holder=LeaseHolder(row.owner, row.host, row.pid, row.place, row.started),
        age=_seconds(now - row.acquired_at),
        idle=idle,
        expires_in=(row.expires_at - now).total_seconds(),
        gone=on_postgres and is_gone(connection, lease_lock(schema or "", key, row.owner), row.renewed_at),
        silent_in=max(longest_silence(ttl) - idle, 0.0),
        renewed_at=row.renewed_at,
    )


def _seconds(passed: timedelta) -> float:
    """The seconds that have passed; 0 when the lease was taken between reading the clock and reading the lease."""
    return max(passed.total_seconds(), 0.0)
