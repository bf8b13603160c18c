"""Requests to fetch a stream again and replace its output, each bound to the job that does so."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, delete, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import (
    BackendPart,
    in_the_stream,
    in_transaction,
    insert_once,
    inserting,
    naive_now,
    stream_values,
    the_stream,
)
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_resets

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamKey

_columns = stream_resets.c
_PENDING = (*in_the_stream(stream_resets), _columns.consumed_at.is_(None))
_A_PENDING_ONE = select(_columns.id).where(*_PENDING).limit(1)
_BOUND = select(_columns.id).where(_columns.consumed_by_job_id == bindparam("the_job_id")).limit(1)
_WITHDRAW = delete(stream_resets).where(*_PENDING)
_BIND = (
    update(stream_resets)
    .where(*_PENDING)
    .values(consumed_at=bindparam("new_consumed_at"), consumed_by_job_id=bindparam("new_job_id"))
)


class ResetTable(BackendPart):
    """The methods on ``stream_resets``."""

    @inserting
    def request_stream_reset(self, connection: Connection, reset_id: str, key: "StreamKey") -> None:
        insert_once(connection, stream_resets, {"id": reset_id, **stream_values(key), "requested_at": naive_now()})

    @in_transaction
    def withdraw_stream_reset(self, connection: Connection, key: "StreamKey") -> None:
        connection.execute(_WITHDRAW, the_stream(key))

    @in_transaction
    def bind_stream_reset(self, connection: Connection, key: "StreamKey", job_id: str) -> None:
        values = {"new_consumed_at": naive_now(), "new_job_id": job_id}
        connection.execute(_BIND, {**the_stream(key), **values})

    @in_transaction
    def has_pending_reset(self, connection: Connection, key: "StreamKey") -> bool:
        return connection.execute(_A_PENDING_ONE, the_stream(key)).first() is not None

    @in_transaction
    def is_reset(self, connection: Connection, job_id: str) -> bool:
        return connection.execute(_BOUND, {"the_job_id": job_id}).first() is not None
