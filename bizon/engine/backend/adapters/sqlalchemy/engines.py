"""Opening the database of each backend type."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes

_BUSY_TIMEOUT = 30.0  # seconds a SQLite statement waits for another writer


def build_engine(config: AbstractBackendConfigDetails, type: BackendTypes) -> Engine:
    """The engine for a backend config. Nothing is connected yet."""
    if type is BackendTypes.SQLITE_IN_MEMORY:
        return create_engine(
            "sqlite://",
            echo=config.echoEngine,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
    path = sqlite_path(config)
    engine = create_engine(
        f"sqlite:///{path}",
        echo=config.echoEngine,
        poolclass=QueuePool,  # the last connection to close has the log written back, which no commit should wait for
        connect_args={"timeout": _BUSY_TIMEOUT, "check_same_thread": False},
    )
    event.listen(engine, "connect", _use_write_ahead_log)
    return engine


def sqlite_path(config: AbstractBackendConfigDetails) -> Path:
    """The state file: ``<database>.sqlite3``, relative to the working directory."""
    return Path(f"{config.database}.sqlite3")


def _use_write_ahead_log(connection: Any, _record: Any) -> None:
    # A power cut may take back the last commits, never tear one: a cursor that is taken back only means that its
    # batch is staged again, and staging beyond the last cursor is dropped at the next start.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
