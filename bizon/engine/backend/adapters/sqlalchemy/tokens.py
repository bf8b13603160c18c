"""Refresh tokens that have taken the place of configured ones, sealed by whoever keeps them. Each function runs in the
caller's transaction."""

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from bizon.engine.backend.adapters.sqlalchemy.rows import enforces_keys, naive_now
from bizon.engine.backend.adapters.sqlalchemy.tables import kept_tokens


def read(connection: Connection, name: str) -> str | None:
    """The newest text of this name, or None."""
    columns = kept_tokens.c
    newest = select(columns.value).where(columns.name == name).order_by(columns.updated_at.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else str(row.value)


def write(connection: Connection, name: str, value: str) -> None:
    """Replace the text of this name. May run twice."""
    values = {"value": value, "updated_at": naive_now()}
    change = update(kept_tokens).where(kept_tokens.c.name == name).values(values)
    if connection.execute(change).rowcount >= 1:
        return
    if not enforces_keys(connection):
        connection.execute(insert(kept_tokens).values(name=name, **values))
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(kept_tokens).values(name=name, **values))
    except IntegrityError:  # another process was faster
        connection.execute(change)


def put_on_disk(connection: Connection) -> None:
    """Have SQLite sync what is committed: a power cut would take a checkpoint back, which is made again, and a token,
    which is not."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")
