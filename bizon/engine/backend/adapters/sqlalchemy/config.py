"""Configuration of the SQL backends."""

from typing import Literal

from pydantic import Field

from bizon.engine.backend.config import AbstractBackendConfig, AbstractBackendConfigDetails, BackendTypes


class SQLiteConfigDetails(AbstractBackendConfigDetails):
    """``engine.backend.config`` for SQLite. ``schema`` is accepted and has no meaning there."""

    database: str = Field(
        default="bizon", min_length=1, description="State file without `.sqlite3`; relative to the working directory."
    )


class SQLiteSQLAlchemyConfig(AbstractBackendConfig):
    """``engine.backend: {type: sqlite}``: state in a file."""

    type: Literal[BackendTypes.SQLITE] = Field(description="sqlite")
    config: SQLiteConfigDetails = Field(default_factory=SQLiteConfigDetails, description="Settings; all have defaults.")


class SQLiteInMemoryConfig(AbstractBackendConfig):
    """``engine.backend: {type: sqlite_in_memory}``: state lives and dies with the run."""

    type: Literal[BackendTypes.SQLITE_IN_MEMORY] = Field(description="sqlite_in_memory")
    config: SQLiteConfigDetails = Field(default_factory=SQLiteConfigDetails, description="Settings; all have defaults.")
