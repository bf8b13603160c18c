"""The advisory lock of a running job, held by the session of the destination, as ``sql_presence.py`` wants it.

The server releases it when the session ends, so also when the process dies. A pooler may keep the session for other
clients, and with it a lock that nobody would release. A pooler gives its client another process id than the session
has: such a run takes no lock.
"""

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bizon.common.waiting import rest

if TYPE_CHECKING:
    import psycopg

    from bizon.destination.sql_target import Transaction

_TAKE = """
SELECT pg_try_advisory_lock_shared(%s), set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '2', false)
WHERE pg_backend_pid() = %s
"""
"""With the lock, the server asks whether a host has vanished, also between transactions."""
_HOLDER = """
SELECT l.pid, a.usename, a.client_addr::text, a.application_name
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = ?
ORDER BY l.pid LIMIT 1
"""
_LOOKS, _PAUSE = 10, 0.1  # seconds; the session of a process that has just ended lives on for an instant


class SessionPresence:
    """The lock of this run. ``renew`` takes it in each new session."""

    def __init__(self) -> None:
        self._lock: int | None = None

    def hold(self, within: "Transaction", job_id: str) -> None:
        """Take the lock of a job, in this session and in those that follow."""
        self._lock = _number(job_id)
        _take(within.cursor, self._lock)

    def renew(self, connection: "psycopg.Connection[Any]") -> None:
        """Take the lock in a new session, in a transaction that stays open."""
        if self._lock is not None:
            with closing(connection.cursor()) as cursor:
                _take(cursor, self._lock)

    def holder(self, within: "Transaction", job_id: str) -> str | None:
        """The other session that holds the lock of a job, in words."""
        for look in range(_LOOKS):
            if look:
                rest(_PAUSE)
            found = within.rows(_HOLDER, _number(job_id))
            if not found:
                return None
        session, user, address, application = found[0]
        where = "" if address is None else f" at {address}"
        who = ", ".join(filter(None, (f"user '{user}'{where}" if user else "", application)))
        return f"session {session} of the server" + (f" ({who})" if who else "")


def _number(job_id: str) -> int:
    """The number of a lock: 64 bits, signed."""
    return int.from_bytes(sha256(f"bizon\0output\0{job_id}".encode()).digest()[:8], "big", signed=True)


def _take(cursor: Any, lock: int) -> None:
    cursor.execute(_TAKE, (lock, cursor.connection.info.backend_pid))
