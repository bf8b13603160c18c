"""From rows to the content of an object: Parquet, or lines of JSON where Parquet cannot carry a column."""

import io
from collections.abc import Sequence

import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.config import BigQueryColumn, BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.config import ColumnMode as Mode
from bizon.connectors.destinations.bigquery.src.config import ColumnType as Type
from bizon.connectors.destinations.bigquery.src.json_rows import json_row, load_line
from bizon.connectors.destinations.bigquery.src.schema import six_columns
from bizon.connectors.destinations.bigquery.src.unnest import Unnester
from bizon.rows.frames import UTC_MICROSECONDS

_TYPES: dict[Type, pl.DataType] = {
    Type.BOOLEAN: pl.Boolean(),
    Type.DATE: pl.Date(),
    Type.DATETIME: pl.Datetime("us"),
    Type.FLOAT: pl.Float64(),
    Type.FLOAT64: pl.Float64(),
    Type.GEOGRAPHY: pl.String(),
    Type.INTEGER: pl.Int64(),
    Type.INT64: pl.Int64(),
    Type.NUMERIC: pl.Decimal(38, 9),
    Type.STRING: pl.String(),
    Type.TIMESTAMP: UTC_MICROSECONDS,
}
"""What Parquet carries into BigQuery. Not among them: JSON and BIGNUMERIC, for which it has nothing; TIME, which Polars
keeps in nanoseconds; BYTES, which the emulator cannot read from it; columns that are REQUIRED, since Polars writes
every column as one that may be null."""


class Content:
    """Makes the content of objects of one table with the columns ``fields``. ``schema``: of an unnested table."""

    def __init__(self, schema: BigQueryRecordSchemaConfig | None, fields: Sequence[SchemaField]) -> None:
        self._unnester = None if schema is None else Unnester(_without_defaults(schema))
        columns = schema.record_schema if schema is not None else ()
        self.format = "parquet" if all(map(_fits_parquet, columns)) else "json"
        self._columns = columns
        self._fields = fields

    def of(self, frame: pl.DataFrame) -> bytes:
        """The rows of a destination frame. Raises RowsRejectedError for records that do not fit their columns."""
        if self._unnester is None:
            return _parquet(six_columns(frame, self._fields))
        rows = self._unnester.rows(frame)
        if self.format == "json":
            return b"".join(load_line(json_row(row), self._fields) for row in rows)
        schema = {column.name: _data_type(column) for column in self._columns}
        return _parquet(pl.DataFrame({name: [row[name] for row in rows] for name in schema}, schema=schema))


def _without_defaults(schema: BigQueryRecordSchemaConfig) -> BigQueryRecordSchemaConfig:
    """A load job fills in no default, so that a column that is REQUIRED has to have a value."""
    columns = [column.model_copy(update={"default_value_expression": None}) for column in schema.record_schema]
    return schema.model_copy(update={"record_schema": columns})


def _parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _fits_parquet(column: BigQueryColumn) -> bool:
    known = column.type in _TYPES or column.type is Type.RECORD
    return known and column.mode is not Mode.REQUIRED and all(map(_fits_parquet, column.fields or ()))


def _data_type(column: BigQueryColumn) -> pl.DataType:
    fields = {field.name: _data_type(field) for field in column.fields or ()}
    data_type = pl.Struct(fields) if column.type is Type.RECORD else _TYPES[column.type]
    return pl.List(data_type) if column.mode is Mode.REPEATED else data_type
