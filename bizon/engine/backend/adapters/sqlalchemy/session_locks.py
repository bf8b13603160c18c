"""Advisory locks of Postgres, which live as long as a session: the proof that the holder of a lease is alive.

Each lease has its own lock, on a connection that does nothing else. When the holder's process dies, on any host, its
connection closes, the server releases the lock, and the next run may take the lease over at once. The row of the lease
decides who holds it; the lock only shows whether the holder is alive.

A session may end although its holder is alive: an administrator, a proxy or a time-out ends it. So a missing lock
proves a death only once the holder has missed two heartbeats as well, which renew the row through another connection.
The server does not end the session for being idle.

A missing lock proves nothing when the server started after the last heartbeat, since that ended all sessions. The lease
then holds until it expires, and the next heartbeat takes the lock again. A pooler that gives each transaction another
session may keep the lock when the holder is dead; then too the lease holds until it expires.
"""

from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from threading import RLock
from time import sleep
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bizon.common.errors.errors import BackendError

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamKey

_LOCKS = """
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32) | objid::bigint = :lock
"""
_HELD = f"EXISTS (SELECT {_LOCKS})"
_IS_HELD = text(f"SELECT {_HELD}")
_IS_GONE = text(f"SELECT :renewed_at > timezone('UTC', pg_postmaster_start_time()) AND NOT {_HELD}")
_TAKE = text("SELECT pg_try_advisory_lock(:lock)")
_RELEASE = text(f"SELECT pg_advisory_unlock(:lock) {_LOCKS} AND pid = pg_backend_pid()")
_NEVER_IDLE = text(  # servers before Postgres 14 lack the setting
    "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'"
)
_LONGEST_BEAT = 5.0  # seconds; bounds how long a run waits for the lease of a dead run
_RELEASE_TRIES, _RELEASE_PAUSE = 20, 0.01  # seconds


def heartbeat_interval(ttl: float) -> float:
    """Seconds between two heartbeats of a lease."""
    return min(ttl / 4, _LONGEST_BEAT)


def longest_silence(ttl: float) -> float:
    """Seconds since the last heartbeat after which a holder without a session is dead."""
    return 2 * heartbeat_interval(ttl)


def lease_lock(schema: str, key: "StreamKey", owner: str) -> int:
    """The number of the lock for a lease and its holder. A superseded run keeps its own lock, and no other run waits
    for it."""
    return lock_number("lease", schema, key.name, key.source_name, key.stream_name, owner)


def lock_number(*words: str) -> int:
    """A number for an advisory lock: 64 bits, signed."""
    return int.from_bytes(sha256("\0".join(("bizon", *words)).encode()).digest()[:8], "big", signed=True)


def is_gone(connection: Connection, lock: int, renewed_at: datetime) -> bool:
    """True when the session that held a lock has ended since the last heartbeat."""
    return bool(connection.execute(_IS_GONE, {"lock": lock, "renewed_at": renewed_at}).scalar())


class SessionLocks:
    """The locks of one backend, each on its own connection. Several threads may use it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[int, Connection] = {}
        self._guard = RLock()

    def hold(self, lock: int) -> None:
        """Hold a lock from now on. Each heartbeat repeats it, and so replaces a lost session.

        Raises SQLAlchemyError when the server is unreachable, BackendError when it has no advisory locks.
        """
        with self._guard:
            if lock in self._held:
                try:
                    return _take(self._held[lock], lock)
                except DBAPIError:
                    self._held.pop(lock).close()
            connection = self._held[lock] = self._connect()
            _take(connection, lock)

    def drop(self, lock: int) -> None:
        """Release a lock and close its connection; harmless when it is not held."""
        with self._guard:
            connection = self._held.pop(lock, None)
            if connection is not None:
                with suppress(DBAPIError):  # the session has ended, and with it the lock
                    _release(connection, lock)
                connection.close()

    def close(self) -> None:
        """Release all locks."""
        with self._guard:
            for lock in list(self._held):
                self.drop(lock)

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # closing it ends the session, and with it the lock
        connection.execute(_NEVER_IDLE)
        return connection


def _take(connection: Connection, lock: int) -> None:
    """Take a lock unless it is held already: by this session or, behind a pooler, by an earlier one of this
    connection."""
    parameters = {"lock": lock}
    if connection.execute(_IS_HELD, parameters).scalar():
        return
    connection.execute(_TAKE, parameters)
    if not connection.execute(_IS_HELD, parameters).scalar():
        raise BackendError("the server has no advisory locks; is it another database than Postgres?")


def _release(connection: Connection, lock: int) -> None:
    """Release a lock. Behind a pooler each try may reach another session, and only the one that holds it can release
    it: after the last try it stays there."""
    parameters = {"lock": lock}
    if connection.execute(_RELEASE, parameters).scalar() or not connection.execute(_IS_HELD, parameters).scalar():
        return
    for _ in range(_RELEASE_TRIES):
        if connection.execute(_RELEASE, parameters).scalar():
            return
        sleep(_RELEASE_PAUSE)
