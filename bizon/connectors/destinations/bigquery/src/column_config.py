"""The columns of an unnested table, as ``record_schemas`` declares them."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from bizon.destination.config import DestinationColumn, RecordSchemaConfig

LOADED_AT = "_bizon_loaded_at"
SIX_COLUMNS = (
    "_source_record_id",
    "_source_timestamp",
    "_source_data",
    "_bizon_extracted_at",
    LOADED_AT,
    "_bizon_id",
)
"""The columns of a table whose records are not unnested."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_DEEPEST = 15  # levels of nested RECORD columns that BigQuery allows


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


class BigQueryColumn(DestinationColumn):
    """One column of an unnested table."""

    type: ColumnType = Field(description="BigQuery type of the column.")
    mode: ColumnMode = Field(default=ColumnMode.NULLABLE, description="NULLABLE | REQUIRED | REPEATED.")
    default_value_expression: str | None = Field(
        default=None,
        description="SQL expression for rows without a value, as in `CURRENT_TIMESTAMP()`; load jobs ignore it.",
    )
    fields: "list[BigQueryColumn] | None" = Field(
        default=None, min_length=1, description="Columns inside a RECORD column."
    )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(
                f"'{value}' is not a column name: letters, digits and underscores, at most 300, no digit first"
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
    """The columns of one table, and its clustering."""

    record_schema: list[BigQueryColumn] = Field(min_length=1, description="Columns, in order.")  # type: ignore[assignment]  # narrower, and frozen
    clustering_keys: Annotated[list[str], Field(max_length=4)] | None = Field(
        default=None,
        description="Columns that a new table is clustered by, at most four; without `unnest`, they are among the six "
        "columns that every table has.",
    )

    @model_validator(mode="after")
    def _columns_are_sound(self) -> "BigQueryRecordSchemaConfig":
        _refuse_twice(self.record_schema)
        names = {column.name.lower() for column in self.record_schema}.union(SIX_COLUMNS)
        unknown = [key for key in self.clustering_keys or () if key.lower() not in names]
        if unknown:
            raise ValueError(f"clustering key '{unknown[0]}' is not a column of '{self.destination_id}'")
        if _depth(self.record_schema) > _DEEPEST:
            raise ValueError(f"columns of '{self.destination_id}' are nested deeper than {_DEEPEST} levels")
        return self


def check_beside_inferred(columns: Sequence[BigQueryColumn]) -> None:
    """Raise ValueError for a column that cannot stand next to inferred ones, whose values may be rescued or missing."""
    for column in columns:
        why = None
        if column.type in (ColumnType.RECORD, ColumnType.GEOGRAPHY, ColumnType.DATETIME):
            why = f"type {column.type}"
        elif column.mode is not ColumnMode.NULLABLE:
            why = f"mode {column.mode}"
        elif column.default_value_expression is not None:
            why = "`default_value_expression`"
        elif column.name.lower().startswith(("_bizon_", "_source_")):
            why = "a name that begins with _bizon_ or _source_"
        if why is not None:
            raise ValueError(
                f"column '{column.name}' has {why}, which inferred columns do not go with: leave out `schema_mode`"
            )


def _refuse_twice(columns: Sequence[BigQueryColumn]) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            raise ValueError(f"column '{column.name}' is listed twice; BigQuery's names are the same in any case")
        seen.add(column.name.lower())


def _depth(columns: Sequence[BigQueryColumn]) -> int:
    return max((_depth(column.fields) + 1 for column in columns if column.fields), default=0)
