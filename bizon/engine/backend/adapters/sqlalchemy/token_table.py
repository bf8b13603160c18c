"""Refresh tokens that replace the configured ones. They arrive here sealed."""

from sqlalchemy import Connection, select, update

from bizon.engine.backend.adapters.sqlalchemy.parts import BackendPart, in_transaction, insert_once, naive_now
from bizon.engine.backend.adapters.sqlalchemy.tables import kept_tokens


class TokenTable(BackendPart):
    """The methods on ``kept_tokens``."""

    @in_transaction
    def get_kept_token(self, connection: Connection, name: str) -> str | None:
        columns = kept_tokens.c
        newest = select(columns.value).where(columns.name == name).order_by(columns.updated_at.desc()).limit(1)
        row = connection.execute(newest).first()
        return None if row is None else str(row.value)

    def keep_token(self, name: str, value: str) -> None:
        self._replace_token(name, value)
        self._transactions.run(_put_on_disk)

    @in_transaction
    def _replace_token(self, connection: Connection, name: str, value: str) -> None:
        values = {"value": value, "updated_at": naive_now()}
        change = update(kept_tokens).where(kept_tokens.c.name == name).values(values)
        if connection.execute(change).rowcount >= 1:
            return
        if not insert_once(connection, kept_tokens, {"name": name, **values}):  # another process was faster
            connection.execute(change)


def _put_on_disk(connection: Connection) -> None:
    """Have SQLite sync what is committed. After a power cut a lost checkpoint is made again; a lost token is not."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")
