"""Requests to fetch a stream afresh and replace its output, and the job each was given to."""

from sqlalchemy import Connection, select, update

from bizon.engine.backend.adapters.sqlalchemy.rows import insert_once, naive_now, of_stream, stream_values
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_resets
from bizon.engine.backend.models import StreamKey


def request(connection: Connection, reset_id: str, key: StreamKey) -> None:
    """File a request."""
    insert_once(connection, stream_resets, {"id": reset_id, **stream_values(key), "requested_at": naive_now()})


def bind(connection: Connection, key: StreamKey, job_id: str) -> None:
    """Give all pending requests of a stream to a job."""
    pending = update(stream_resets).where(*of_stream(stream_resets, key), stream_resets.c.consumed_at.is_(None))
    connection.execute(pending.values(consumed_at=naive_now(), consumed_by_job_id=job_id))


def is_pending(connection: Connection, key: StreamKey) -> bool:
    """True when a request waits for a job."""
    waiting = select(stream_resets.c.id).where(*of_stream(stream_resets, key), stream_resets.c.consumed_at.is_(None))
    return connection.execute(waiting.limit(1)).first() is not None


def is_bound(connection: Connection, job_id: str) -> bool:
    """True when the job was given a request."""
    given = select(stream_resets.c.id).where(stream_resets.c.consumed_by_job_id == job_id)
    return connection.execute(given.limit(1)).first() is not None
