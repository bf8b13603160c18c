"""Configuration of the ``bigquery`` destination, and what the two streaming ones share with it."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.destination.config import (
    AbstractDestinationConfig,
    AbstractDestinationDetailsConfig,
    DestinationColumn,
    DestinationTypes,
    RecordSchemaConfig,
)

LOADED_AT = "_bizon_loaded_at"
SIX_COLUMNS = (
    "_source_record_id",
    "_source_timestamp",
    "_source_data",
    "_bizon_extracted_at",
    LOADED_AT,
    "_bizon_id",
)
"""What a table has whose records are not unnested."""
_PARTS = 3  # project.dataset.table
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_DEEPEST = 15  # levels of nested RECORD columns that BigQuery has


class ColumnType(StrEnum):
    """Type of a column of an unnested table."""

    BOOLEAN = "BOOLEAN"
    BYTES = "BYTES"
    DATE = "DATE"
    DATETIME = "DATETIME"
    FLOAT = "FLOAT"
    FLOAT64 = "FLOAT64"
    GEOGRAPHY = "GEOGRAPHY"
    INTEGER = "INTEGER"
    INT64 = "INT64"
    NUMERIC = "NUMERIC"
    BIGNUMERIC = "BIGNUMERIC"
    JSON = "JSON"
    RECORD = "RECORD"
    STRING = "STRING"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"


class ColumnMode(StrEnum):
    """Whether a column may be empty, or holds a list."""

    NULLABLE = "NULLABLE"
    REQUIRED = "REQUIRED"
    REPEATED = "REPEATED"


class PartitionWindow(StrEnum):
    """How long a partition is."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


class BigQueryColumn(DestinationColumn):
    """One column of an unnested table."""

    type: ColumnType = Field(description="BigQuery type of the column.")
    mode: ColumnMode = Field(default=ColumnMode.NULLABLE, description="NULLABLE | REQUIRED | REPEATED.")
    default_value_expression: str | None = Field(
        default=None,
        description="SQL expression for rows that have no value, as in `CURRENT_TIMESTAMP()`; load jobs do not use it.",
    )
    fields: "list[BigQueryColumn] | None" = Field(
        default=None, min_length=1, description="Columns inside one of type RECORD."
    )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(
                f"'{value}' is no column name: letters, digits and underscores, at most 300, no digit first"
            )
        return value

    @field_validator("type", mode="before")
    @classmethod
    def _in_any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _only_records_have_fields(self) -> "BigQueryColumn":
        if (self.type is ColumnType.RECORD) != (self.fields is not None):
            wrong = "needs `fields`" if self.fields is None else "has `fields`, which only type RECORD has"
            raise ValueError(f"column '{self.name}' of type {self.type} {wrong}")
        _refuse_twice(self.fields or ())
        return self


class BigQueryRecordSchemaConfig(RecordSchemaConfig):
    """The columns of one table, and what it is clustered by."""

    record_schema: list[BigQueryColumn] = Field(min_length=1, description="Columns, in order.")  # type: ignore[assignment]  # narrower, and frozen
    clustering_keys: Annotated[list[str], Field(max_length=4)] | None = Field(
        default=None,
        description="Columns the table is clustered by, at most four, when it is made; without `unnest`, of the six "
        "that every table has.",
    )

    @model_validator(mode="after")
    def _columns_are_sound(self) -> "BigQueryRecordSchemaConfig":
        _refuse_twice(self.record_schema)
        names = {column.name.lower() for column in self.record_schema}.union(SIX_COLUMNS)
        unknown = [key for key in self.clustering_keys or () if key.lower() not in names]
        if unknown:
            raise ValueError(f"clustering key '{unknown[0]}' is no column of '{self.destination_id}'")
        if _depth(self.record_schema) > _DEEPEST:
            raise ValueError(f"columns of '{self.destination_id}' are nested deeper than {_DEEPEST} levels")
        return self


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


def _refuse_twice(columns: Sequence[BigQueryColumn]) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            raise ValueError(f"column '{column.name}' is listed twice; BigQuery's names are the same in any case")
        seen.add(column.name.lower())


def _depth(columns: Sequence[BigQueryColumn]) -> int:
    return max((_depth(column.fields) + 1 for column in columns if column.fields), default=0)
