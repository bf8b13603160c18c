"""Configuration of the ``bigquery`` destination, and what the two streaming ones share with it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.connectors.destinations.bigquery.src.column_config import LOADED_AT, BigQueryRecordSchemaConfig
from bizon.destination.config import (
    AbstractDestinationConfig,
    AbstractDestinationDetailsConfig,
    DestinationTypes,
)

_PARTS = 3  # project.dataset.table


class PartitionWindow(StrEnum):
    """How long a partition is."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


class TimePartitioning(StrictModel):
    """How a table is partitioned when it is made."""

    type: PartitionWindow = Field(default=PartitionWindow.DAY, description="HOUR | DAY | MONTH | YEAR.")
    field: str | None = Field(
        default=LOADED_AT,
        min_length=1,
        description="Column it goes by: a date, datetime or timestamp. null = the moment at which a row arrives.",
    )


class BigQueryAuthentication(StrictModel):
    """Credentials. Without them, those of the machine are used (Application Default Credentials)."""

    service_account_key: SecretText = Field(
        default="",
        description="Key of a service account, the JSON itself; it stays in memory. Empty = the credentials of the "
        "machine.",
    )


class Emulator(StrictModel):
    """Servers that stand in for Google's, to try a pipeline out without an account. No credentials are sent."""

    api_endpoint: str = Field(pattern="^https?://", description="BigQuery over REST, `http://localhost:9050`.")
    write_endpoint: str | None = Field(default=None, description="Its Storage Write API, `localhost:9060`.")
    storage_endpoint: str | None = Field(
        default=None, pattern="^https?://", description="Cloud Storage, `http://localhost:4443`."
    )


class BigQueryFamilyDetails(AbstractDestinationDetailsConfig):
    """Keys that the three destinations share. ``destination_id`` is a table, with or without dataset and project."""

    project_id: str = Field(min_length=1, description="Project of the dataset, which also pays for the jobs.")
    dataset_id: str = Field(min_length=1, description="Dataset of the tables.")
    dataset_location: str = Field(
        default="US",
        min_length=1,
        description="Where the dataset is, as in `EU`; compared before anything is fetched.",
    )
    create_dataset: bool = Field(default=False, description="Make the dataset when there is none.")
    table_prefix: str = Field(
        default="_bizon_",
        description="Before <source>_<stream> where no destination_id is given. A table without the prefix that is "
        "there already stays in use.",
    )
    time_partitioning: TimePartitioning | None = Field(
        default_factory=TimePartitioning, description="How new tables are partitioned; null = not at all."
    )
    enforce_partitioning: bool = Field(
        default=False,
        description="End the run when a table is there and partitioned in another way; false = warn about it.",
    )
    record_schemas: Sequence[BigQueryRecordSchemaConfig] | None = Field(
        default=None, description="Columns per table, for `unnest`."
    )
    authentication: BigQueryAuthentication | None = Field(default=None, description="Credentials.")
    emulator: Emulator | None = Field(default=None, description="Stand-ins for Google's servers.")

    @field_validator("destination_id")
    @classmethod
    def _names_a_table(cls, value: str | None) -> str | None:
        if value is not None and not (1 <= len(value.split(".")) <= _PARTS and all(value.split("."))):
            raise ValueError("must be table, dataset.table or project.dataset.table")
        return value

    @field_validator("time_partitioning", mode="before")
    @classmethod
    def _may_be_a_window(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _clustered_by_what_is_there(self) -> "BigQueryFamilyDetails":
        for schema in self.record_schemas or ():
            names = {column.name.lower() for column in schema.record_schema}
            missing = [key for key in schema.clustering_keys or () if key.lower() not in names]
            if self.unnest and missing:
                raise ValueError(f"clustering key '{missing[0]}' is no column of '{schema.destination_id}'")
        return self

    @model_validator(mode="after")
    def _one_schema_per_table(self) -> "BigQueryFamilyDetails":
        tables = [self.table_of(schema.destination_id) for schema in self.record_schemas or ()]
        twice = next((table for table in tables if tables.count(table) > 1), None)
        if twice is not None:
            raise ValueError(f"`record_schemas` has more than one entry for '{twice}'")
        return self

    def table_of(self, destination_id: str) -> str:
        """``project.dataset.table`` of a destination_id that may leave out the first parts."""
        parts = destination_id.split(".")
        return ".".join([*(self.project_id, self.dataset_id)[: _PARTS - len(parts)], *parts])


class StagingDetails(BigQueryFamilyDetails):
    """Keys of destinations whose rows wait in a staging table."""

    staging_table: str | None = Field(
        default=None,
        description="Table where rows wait until they are published, for this pipeline alone; beside the table, unless "
        "it names a dataset. Default {table}_temp for full_refresh, {table}_incremental for incremental.",
    )

    @field_validator("staging_table")
    @classmethod
    def _names_a_staging_table(cls, value: str | None) -> str | None:
        return cls._names_a_table(value)


class GCSBufferFormat(StrEnum):
    """What the objects in the bucket are."""

    PARQUET = "parquet"


class BigQueryConfigDetails(StagingDetails):
    """Settings of the ``bigquery`` destination."""

    gcs_buffer_bucket: str = Field(
        min_length=1,
        description="Bucket for the objects that are loaded, without `gs://`; compared with `dataset_location`.",
    )
    gcs_buffer_format: GCSBufferFormat = Field(
        default=GCSBufferFormat.PARQUET,
        description="parquet. Tables with columns of type JSON, which Parquet cannot fill, go as lines of JSON.",
    )
    async_load: bool = Field(
        default=False,
        description="Go on while objects are loaded; false = each batch is loaded before the next one is written.",
    )
    load_files_per_job: int = Field(
        default=10, ge=1, le=10_000, description="With async_load: objects that one load job takes."
    )
    load_max_in_flight_jobs: int = Field(
        default=3, ge=1, description="With async_load: load jobs at work at the same time."
    )


class BigQueryConfig(AbstractDestinationConfig):
    """``destination: {name: bigquery}``: rows go to a BigQuery table by load jobs, through a bucket."""

    name: Literal[DestinationTypes.BIGQUERY] = Field(description="bigquery")
    alias: str = Field(default="bigquery", description="Name shown in logs and metrics.")
    config: BigQueryConfigDetails = Field(description="Settings.")
