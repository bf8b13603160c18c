"""Configuration of the ``bigquery`` destination, and the keys that the three BigQuery destinations share."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.connectors.destinations.bigquery.src.column_config import (
    LOADED_AT,
    BigQueryRecordSchemaConfig,
    check_beside_inferred,
)
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes
from bizon.destination.typed_config import InferringDetailsConfig

_PARTS = 3  # project.dataset.table


class PartitionWindow(StrEnum):
    """How long a partition is."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


class TimePartitioning(StrictModel):
    """How a new table is partitioned."""

    type: PartitionWindow = Field(default=PartitionWindow.DAY, description="HOUR | DAY | MONTH | YEAR.")
    field: str | None = Field(
        default=LOADED_AT,
        min_length=1,
        description="Column to partition by: a date, datetime or timestamp. null = the time at which a row arrives.",
    )


class BigQueryAuthentication(StrictModel):
    """Credentials. Without them, bizon uses the credentials of the machine (Application Default Credentials)."""

    service_account_key: SecretText = Field(
        default="",
        description="Key of a service account, as JSON; it stays in memory. Empty = credentials of the machine.",
    )


class Emulator(StrictModel):
    """Emulators of Google's services, to try a pipeline out without an account. No credentials are sent."""

    api_endpoint: str = Field(
        pattern="^https?://", description="BigQuery over REST, for example `http://localhost:9050`."
    )
    write_endpoint: str | None = Field(default=None, description="Storage Write API, for example `localhost:9060`.")
    storage_endpoint: str | None = Field(
        default=None, pattern="^https?://", description="Cloud Storage, for example `http://localhost:4443`."
    )


class BigQueryFamilyDetails(InferringDetailsConfig):
    """Keys that the three destinations share. ``destination_id`` is a table, with or without dataset and project."""

    project_id: str = Field(min_length=1, description="Project of the dataset; it also pays for the jobs.")
    dataset_id: str = Field(min_length=1, description="Dataset of the tables.")
    dataset_location: str = Field(
        default="US",
        min_length=1,
        description="Location of the dataset, for example `EU`; checked before anything is fetched.",
    )
    create_dataset: bool = Field(default=False, description="Create the dataset if there is none.")
    table_prefix: str = Field(
        default="_bizon_",
        description="Goes before <source>_<stream> when no destination_id is given. An existing table without the "
        "prefix stays in use.",
    )
    time_partitioning: TimePartitioning | None = Field(
        default_factory=TimePartitioning, description="How new tables are partitioned; null = not at all."
    )
    enforce_partitioning: bool = Field(
        default=False,
        description="End the run when an existing table is partitioned in another way; false = only warn.",
    )
    record_schemas: Sequence[BigQueryRecordSchemaConfig] | None = Field(
        default=None,
        description="Columns per table, for `unnest`: the only ones, unless `schema_mode` is set. Without it they are "
        "inferred.",
    )
    authentication: BigQueryAuthentication | None = Field(default=None, description="Credentials.")
    emulator: Emulator | None = Field(default=None, description="Emulators of Google's services.")

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
                raise ValueError(f"clustering key '{missing[0]}' is not a column of '{schema.destination_id}'")
        return self

    @model_validator(mode="after")
    def _declared_beside_inferred(self) -> "BigQueryFamilyDetails":
        for schema in self.record_schemas or () if self.infers else ():
            check_beside_inferred(schema.record_schema)
        return self

    @model_validator(mode="after")
    def _one_schema_per_table(self) -> "BigQueryFamilyDetails":
        tables = [self.table_of(schema.destination_id) for schema in self.record_schemas or ()]
        twice = next((table for table in tables if tables.count(table) > 1), None)
        if twice is not None:
            raise ValueError(f"`record_schemas` has more than one entry for '{twice}'")
        return self

    def places(self, usual: str) -> dict[str, str]:
        """The table."""
        return {"destination_id": f"table {self.table_of(self.destination_id or self.table_prefix + usual)}"}

    def table_of(self, destination_id: str) -> str:
        """``project.dataset.table`` for a destination_id that may omit the first parts."""
        parts = destination_id.split(".")
        return ".".join([*(self.project_id, self.dataset_id)[: _PARTS - len(parts)], *parts])


class StagingDetails(BigQueryFamilyDetails):
    """Keys of destinations whose rows wait in a staging table."""

    staging_table: str | None = Field(
        default=None,
        description="Table where rows wait until they are published, for this pipeline alone; in the dataset of the "
        "table, unless it names another. Default {table}_temp for full_refresh, {table}_incremental for incremental.",
    )

    def places(self, usual: str) -> dict[str, str]:
        """The table, and the one for staging if it is named."""
        staging = {} if self.staging_table is None else {"staging_table": f"table {self.table_of(self.staging_table)}"}
        return {**super().places(usual), **staging}

    @field_validator("staging_table")
    @classmethod
    def _names_a_staging_table(cls, value: str | None) -> str | None:
        return cls._names_a_table(value)


class GCSBufferFormat(StrEnum):
    """Format of the objects in the bucket."""

    PARQUET = "parquet"


class BigQueryConfigDetails(StagingDetails):
    """Settings of the ``bigquery`` destination."""

    gcs_buffer_bucket: str = Field(
        min_length=1,
        description="Bucket for the objects to load, without `gs://`; its location must fit `dataset_location`.",
    )
    gcs_buffer_format: GCSBufferFormat = Field(
        default=GCSBufferFormat.PARQUET,
        description="parquet. Tables with JSON columns, which Parquet cannot fill, and tables with inferred columns "
        "are written as JSON lines.",
    )
    async_load: bool = Field(
        default=False,
        description="Continue while objects are loaded; false = each batch is loaded before the next one is written.",
    )
    load_files_per_job: int = Field(default=10, ge=1, le=10_000, description="With async_load: objects per load job.")
    load_max_in_flight_jobs: int = Field(
        default=3, ge=1, description="With async_load: load jobs that run at the same time."
    )


class BigQueryConfig(AbstractDestinationConfig):
    """``destination: {name: bigquery}``: rows go to a BigQuery table by load jobs, through a bucket."""

    name: Literal[DestinationTypes.BIGQUERY] = Field(description="bigquery")
    alias: str = Field(default="bigquery", description="Name shown in logs and metrics.")
    config: BigQueryConfigDetails = Field(description="Settings.")
