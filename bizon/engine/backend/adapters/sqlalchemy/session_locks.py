"""Advisory locks of Postgres that live as long as a session: the proof that the holder of a lease is alive.

Each lease has a lock of its own, held by a connection that does nothing else. When the process of the holder dies, on
whatever host, its connection is closed, the server gives the lock up, and the next run may take the lease over at once.
The lease itself is the row: who holds it is decided there, and these locks only tell whether the holder lives.

A session may end although its holder lives: an administrator, a proxy or a time-out ends it. So a lock that is gone
proves something only once the holder has missed two heartbeats as well, which renew the row by another connection. The
session is kept from ending for want of work: it may be idle for as long as it likes.

A lock says nothing when the server was started after the last heartbeat: all sessions have ended then. The lease
counts until it expires, and the next heartbeat takes the lock again. Behind a pooler that gives each transaction
another session the lock may outlive its holder: then too the lease counts until it expires.
"""

from datetime import datetime
from hashlib import sha256
from threading import RLock

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.models import StreamKey

_HELD = """EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32) | objid::bigint = :lock
)"""
_IS_HELD = text(f"SELECT {_HELD}")
_IS_GONE = text(f"SELECT :renewed_at > timezone('UTC', pg_postmaster_start_time()) AND NOT {_HELD}")
_TAKE = text("SELECT pg_try_advisory_lock(:lock)")
_NEVER_IDLE = text(  # servers before Postgres 14 do not know it
    "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'"
)
_LONGEST_BEAT = 5.0  # seconds; it bounds how long a run waits for the lease of one that has died


def heartbeat_interval(ttl: float) -> float:
    """Seconds between two heartbeats of a lease."""
    return min(ttl / 4, _LONGEST_BEAT)


def longest_silence(ttl: float) -> float:
    """Seconds since the last heartbeat after which a holder without a session is dead."""
    return 2 * heartbeat_interval(ttl)


def lease_lock(schema: str, key: StreamKey, owner: str) -> int:
    """The number of the lock of a lease. Of its holder too: a run that was taken over from keeps its own lock, and no
    other run waits for it."""
    return lock_number("lease", schema, key.name, key.source_name, key.stream_name, owner)


def lock_number(*words: str) -> int:
    """64 bits, signed, as advisory locks are numbered."""
    return int.from_bytes(sha256("\0".join(("bizon", *words)).encode()).digest()[:8], "big", signed=True)


def is_gone(connection: Connection, lock: int, renewed_at: datetime) -> bool:
    """True when the session that held a lock has ended since the last heartbeat."""
    return bool(connection.execute(_IS_GONE, {"lock": lock, "renewed_at": renewed_at}).scalar())


class SessionLocks:
    """The locks that one backend holds, each on a connection of its own. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[int, Connection] = {}
        self._guard = RLock()

    def hold(self, lock: int) -> None:
        """Hold a lock from now on. Repeated by each heartbeat: a session that was lost is replaced.

        Raises SQLAlchemyError when the server cannot be reached, BackendError when it has no such locks.
        """
        with self._guard:
            if lock in self._held:
                try:
                    return _take(self._held[lock], lock)
                except DBAPIError:
                    self.drop(lock)
            connection = self._held[lock] = self._connect()
            _take(connection, lock)

    def drop(self, lock: int) -> None:
        """Give a lock up, by closing its connection; harmless when it is not held."""
        with self._guard:
            connection = self._held.pop(lock, None)
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Give all locks up."""
        with self._guard:
            for lock in list(self._held):
                self.drop(lock)

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # closing it ends the session, and with it the lock
        connection.execute(_NEVER_IDLE)
        return connection


def _take(connection: Connection, lock: int) -> None:
    """Take a lock unless it is held already: by this session, or, behind a pooler, by one that this was before."""
    parameters = {"lock": lock}
    if connection.execute(_IS_HELD, parameters).scalar():
        return
    connection.execute(_TAKE, parameters)
    if not connection.execute(_IS_HELD, parameters).scalar():
        raise BackendError("the server knows no advisory locks: is it another database than Postgres?")
