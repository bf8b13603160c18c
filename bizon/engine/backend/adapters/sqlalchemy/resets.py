"""Requests to fetch a stream afresh and replace its output, and the job each was given to."""

from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from bizon.engine.backend.adapters.sqlalchemy.rows import naive_now, of_stream, stream_values
from bizon.engine.backend.adapters.sqlalchemy.tables import stream_resets
from bizon.engine.backend.models import StreamKey


def request(connection: Connection, key: StreamKey) -> None:
    """File a request."""
    row = {"id": uuid4().hex, **stream_values(key), "requested_at": naive_now()}
    connection.execute(insert(stream_resets).values(row))


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
