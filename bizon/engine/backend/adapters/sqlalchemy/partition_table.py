"""The partitions that a job was planned in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from bizon.engine.backend.adapters.sqlalchemy.job_table import by_id
from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    from_text,
    in_transaction,
    naive_now,
    to_text,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import destination_cursors, stream_partitions
from bizon.engine.partitions import Partition

_columns = stream_partitions.c
_ROWS_AT_ONCE = 500
_LAST = "last"  # in the plan of the last partition: without it, a database without transactions has kept only some


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
