"""Schemas of tables: the six columns of every record, or the columns that ``record_schemas`` declares."""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.column_config import (
    LOADED_AT,
    SIX_COLUMNS,
    BigQueryColumn,
    ColumnMode,
    ColumnType,
)
from bizon.connectors.destinations.bigquery.src.merging import copied

NAMES = {called.removeprefix("_"): called for called in SIX_COLUMNS}
"""Columns of the destination frame and their names in BigQuery, in the order of the table."""
MOMENTS = ("bizon_extracted_at", "bizon_loaded_at", "source_timestamp")
"""The columns that are TIMESTAMP."""
_SAME = {ColumnType.FLOAT64: "FLOAT", ColumnType.INT64: "INTEGER"}


def record_schema(data_type: str, mode: str) -> list[SchemaField]:
    """The six columns; ``data_type`` is STRING or JSON, the type of ``_source_data``."""
    types = {"source_data": data_type, "source_record_id": "STRING", "bizon_id": "STRING"}
    return [
        SchemaField(
            called,
            types.get(name, "TIMESTAMP"),
            mode=mode,
            default_value_expression="CURRENT_TIMESTAMP()" if called == LOADED_AT else None,
        )
        for name, called in NAMES.items()
    ]


def six_columns(frame: pl.DataFrame, schema: Sequence[SchemaField]) -> pl.DataFrame:
    """The six columns of a destination frame, under the names that a table with this schema has for them."""
    called = _names(schema)
    return frame.select(pl.col(name).alias(called[column.lower()]) for name, column in NAMES.items())


def renamed(fields: Sequence[SchemaField], there: Sequence[SchemaField]) -> list[SchemaField]:
    """Columns under the names that a table has for them: BigQuery's names are the same in any case."""
    called = _names(there)
    return [
        SchemaField.from_api_repr({**field.to_api_repr(), "name": called.get(field.name.lower(), field.name)})
        for field in fields
    ]


def as_there(columns: Iterable[BigQueryColumn], there: Sequence[SchemaField]) -> list[BigQueryColumn]:
    """Declared columns under the names that a table has for them, at every depth. A column without a declared mode is
    required if the table requires it."""
    found = {field.name.lower(): field for field in there}
    return [
        column if (field := found.get(column.name.lower())) is None else _as_there(column, field) for column in columns
    ]


def _as_there(column: BigQueryColumn, field: SchemaField) -> BigQueryColumn:
    changes: dict[str, Any] = {"name": field.name}
    if "mode" not in column.model_fields_set and field.mode == ColumnMode.REQUIRED:
        changes["mode"] = ColumnMode.REQUIRED
    if column.fields is not None:
        changes["fields"] = as_there(column.fields, field.fields)
    return column.model_copy(update=changes)


def narrowed(schema: Sequence[SchemaField], written: Sequence[SchemaField]) -> list[SchemaField]:
    """The columns of a table that rows are written with: a load job names only the columns of its objects."""
    found = {field.name.lower(): field for field in schema}
    kept = [(found[field.name.lower()], field.fields) for field in written]
    return [copied(field, field.mode, narrowed(field.fields, inner)) for field, inner in kept]


def _names(schema: Sequence[SchemaField]) -> dict[str, str]:
    return {field.name.lower(): field.name for field in schema}


def declared_schema(columns: Iterable[BigQueryColumn]) -> list[SchemaField]:
    """The columns of an unnested table."""
    return [
        SchemaField(
            column.name,
            _SAME.get(column.type, column.type.value),
            mode=column.mode.value,
            description=column.description,  # type: ignore[arg-type]  # None means no description
            default_value_expression=column.default_value_expression,
            fields=declared_schema(column.fields or ()),
        )
        for column in columns
    ]
