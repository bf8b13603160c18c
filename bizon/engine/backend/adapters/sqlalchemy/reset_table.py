"""Requests to fetch a stream again and replace its output, each bound to the job that does so."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    in_transaction,
    insert_once,
    inserting,
    naive_now,
    of_stream,
    stream_values,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_resets

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamKey


class ResetTable(BackendPart):
    """The methods on ``stream_resets``."""

    @inserting
    def request_stream_reset(self, connection: Connection, reset_id: str, key: "StreamKey") -> None:
        insert_once(connection, stream_resets, {"id": reset_id, **stream_values(key), "requested_at": naive_now()})

    @in_transaction
    def withdraw_stream_reset(self, connection: Connection, key: "StreamKey") -> None:
        connection.execute(delete(stream_resets).where(*_pending(key)))

    @in_transaction
    def bind_stream_reset(self, connection: Connection, key: "StreamKey", job_id: str) -> None:
        binding = update(stream_resets).where(*_pending(key))
        connection.execute(binding.values(consumed_at=naive_now(), consumed_by_job_id=job_id))

    @in_transaction
    def has_pending_reset(self, connection: Connection, key: "StreamKey") -> bool:
        pending = select(stream_resets.c.id).where(*_pending(key))
        return connection.execute(pending.limit(1)).first() is not None

    @in_transaction
    def is_reset(self, connection: Connection, job_id: str) -> bool:
        bound = select(stream_resets.c.id).where(stream_resets.c.consumed_by_job_id == job_id)
        return connection.execute(bound.limit(1)).first() is not None


def _pending(key: "StreamKey") -> tuple[Any, ...]:
    return (*of_stream(stream_resets, key), stream_resets.c.consumed_at.is_(None))
