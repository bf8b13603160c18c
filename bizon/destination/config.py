"""The ``destination`` block of a pipeline: the parts every destination shares. Imports nothing heavy."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, model_validator

from bizon.config.strict import MOST_SECONDS, StrictModel


class DestinationTypes(StrEnum):
    """Value of ``destination.name``. A new destination adds its member here: registration 1 of 3."""

    LOGGER = "logger"
    FILE = "file"
    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    BIGQUERY = "bigquery"
    BIGQUERY_STREAMING = "bigquery_streaming"
    BIGQUERY_STREAMING_V2 = "bigquery_streaming_v2"
    CUSTOM = "custom"


class DestinationColumn(StrictModel):
    """One column of an unnested table."""

    name: str = Field(min_length=1, description="Column, and key of the record it is taken from.")
    type: str = Field(description="Type of the column; the destination says which are known.")
    description: str | None = Field(default=None, description="Comment on the column.")


class RecordSchemaConfig(StrictModel):
    """The columns of one table."""

    destination_id: str = Field(min_length=1, description="Table the schema belongs to.")
    record_schema: list[DestinationColumn] = Field(min_length=1, description="Columns, in order.")


class AbstractDestinationDetailsConfig(StrictModel):
    """``destination.config``: what every destination understands; a destination extends it with its own keys."""

    buffer_size: int = Field(
        default=50, ge=0, description="MB of records collected before a write. 0 = write each page at once."
    )
    buffer_flush_timeout: int = Field(
        default=600,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds after which a part-filled buffer is written. 0 = no time limit.",
    )
    max_concurrent_threads: int = Field(
        default=10, ge=1, description="Upper bound of parallel requests of destinations that write in parallel."
    )
    record_schemas: Sequence[RecordSchemaConfig] | None = Field(
        default=None, description="Columns per table, for `unnest`."
    )
    unnest: bool = Field(
        default=False, description="Write the fields of each record as columns instead of one JSON column."
    )
    authentication: BaseModel | None = Field(default=None, description="Credentials, where the destination has any.")
    destination_id: str | None = Field(
        default=None, min_length=1, description="Table or file to write; default <source>_<stream>."
    )
    destination_file_path: str | None = Field(
        default=None,
        min_length=1,
        description="Path of a Python file with your destination class, for `name: custom`.",
    )

    def places(self, usual: str) -> dict[str, str]:
        """The outputs of a pipeline with this block, in words, by the key that names each. Two streams of one file
        whose words are equal would write the same, and are refused. ``usual``: the destination_id of a stream without
        one. Override it where ``destination_id`` alone does not name an output."""
        return {"destination_id": f"output '{self.destination_id or usual}'"}

    @model_validator(mode="after")
    def _unnest_needs_schemas(self) -> "AbstractDestinationDetailsConfig":
        if self.unnest and not self.record_schemas:
            raise ValueError("At least one `record_schemas` entry is needed when `unnest` is true")
        return self


class JsonRowsDetailsConfig(AbstractDestinationDetailsConfig):
    """``destination.config`` of a destination that keeps each record as one JSON text: ``unnest`` is an error."""

    @model_validator(mode="after")
    def _records_stay_whole(self) -> "JsonRowsDetailsConfig":
        if self.unnest:
            raise ValueError("this destination keeps each record as JSON in `source_data`: remove `unnest`")
        return self


class AbstractDestinationConfig(StrictModel):
    """The ``destination`` block; a destination narrows ``name`` and ``config``."""

    name: str = Field(description="Destination type; `bizon destination list` shows them.")
    alias: str = Field(description="Name shown in logs and metrics.")
    config: Any = Field(description="Settings: a subclass of AbstractDestinationDetailsConfig.")

    @property
    def shown_name(self) -> str:
        """The destination as people know it: the alias of one in a user's file, whose ``name`` is ``custom``."""
        return self.alias if self.name == DestinationTypes.CUSTOM else str(self.name)

    @property
    def is_built_in(self) -> bool:
        """False for a destination of a plug-in."""
        return self.name in list(DestinationTypes)

    @model_validator(mode="after")
    def _only_custom_destinations_have_a_file(self) -> "AbstractDestinationConfig":
        if self.name != DestinationTypes.CUSTOM and getattr(self.config, "destination_file_path", None) is not None:
            raise ValueError("`destination_file_path` is for `name: custom` only")
        return self
