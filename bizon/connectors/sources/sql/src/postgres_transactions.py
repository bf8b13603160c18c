"""The open transactions of PostgreSQL: how far back a row may still appear that nobody can see yet.

A row gets its time from the clock of the server, at the beginning of its transaction (``now()``) or later. So a row
that is not visible yet has a time at or after the beginning of the oldest open transaction, and nothing appears before
that moment any more. Not covered: times that come from another clock, and rows that replication applies.
"""

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import rest

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_MARGIN = timedelta(seconds=1)  # a transaction is in pg_stat_activity a moment after it began
_PATIENCE = 60  # seconds to wait for open transactions
_OPEN = """
SELECT clock_timestamp() AS now, min(xact_start) AS oldest,
    count(*) FILTER (WHERE state = 'disabled' OR (state IS NULL AND xact_start IS NULL AND NOT (
        pg_has_role('pg_read_all_stats', 'USAGE') OR pg_has_role(usesysid, 'USAGE')))) AS hidden,
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
    pg_is_in_recovery() AS is_standby
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
"""


class OpenTransactions:
    """Asks for them. ``has_lookback``: rows that come late are covered even where they are unknown."""

    def __init__(self, *, has_lookback: bool) -> None:
        self._has_lookback = has_lookback
        self._has_warned = False

    def settled(self, connection: "Connection") -> datetime:
        """The moment before which no transaction can change a row any more. Raises SourceFetchError when the server
        does not tell, unless there is a lookback."""
        connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the same all the time
        found = connection.exec_driver_sql(_OPEN).one()
        now = _aware(found.now)
        reason = _unknown(found)
        if reason is None:
            return min(now - _MARGIN, now if found.oldest is None else _aware(found.oldest))
        if not self._has_lookback:
            raise SourceFetchError(f"{reason}. Or set source.lookback to longer than a transaction lasts")
        if not self._has_warned:
            logger.warning(f"{reason}: only source.lookback covers rows that are committed late")
            self._has_warned = True
        return now - _MARGIN

    def wait_until_ended(self, connection: "Connection") -> bool:
        """Wait until every transaction that is open now has ended; False after a minute."""
        until = monotonic() + _PATIENCE
        moment = _aware(connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one())
        while self.settled(connection) <= moment:
            if monotonic() > until:
                return False
            rest(0.2)
        return True


def _unknown(found: Any) -> str | None:
    """Why the open transactions are unknown."""
    if found.is_standby:
        return "this server is a standby, which does not show the open transactions of its primary: read the primary"
    if found.prepared:
        return (
            f"{found.prepared} prepared transactions wait for COMMIT PREPARED or ROLLBACK PREPARED, and nothing tells "
            "when they began: end them"
        )
    if found.hidden:
        return (
            f"{found.hidden} sessions of other roles are hidden from this role, so rows of their open transactions "
            "could be lost: GRANT pg_read_all_stats to the role"
        )
    return None


def _aware(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
