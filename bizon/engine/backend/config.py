"""The ``engine.backend`` block: the parts every backend shares."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from bizon.config.strict import StrictModel


class BackendTypes(StrEnum):
    """Value of ``engine.backend.type``."""

    POSTGRES = "postgres"
    BIGQUERY = "bigquery"
    SQLITE = "sqlite"
    SQLITE_IN_MEMORY = "sqlite_in_memory"


class AbstractBackendConfigDetails(StrictModel):
    """``engine.backend.config``: where the state is kept."""

    model_config = ConfigDict(populate_by_name=True)

    database: str = Field(min_length=1, description="Name of the database.")
    schema_name: str = Field(
        default="public",
        min_length=1,
        alias="schema",
        description="Schema of the state tables, in databases that have schemas.",
    )
    syncCursorInDBEvery: int = Field(  # noqa: N815 - key of the documented YAML
        default=10,
        ge=1,
        description="Pages between two notes on how far the source was read, which `bizon status` shows.",
    )
    echoEngine: bool = Field(default=False, description="Log the SQL statements.")  # noqa: N815 - as above


class AbstractBackendConfig(StrictModel):
    """The ``engine.backend`` block; each adapter narrows ``type`` and ``config``."""

    type: BackendTypes = Field(description="Kind of database that keeps the checkpoints.")
    config: AbstractBackendConfigDetails = Field(description="Settings of the backend.")

    @property
    def is_in_memory(self) -> bool:
        """True when the state ends with its process."""
        return self.type is BackendTypes.SQLITE_IN_MEMORY
