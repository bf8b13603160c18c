"""From rows to the content of an object: Parquet, or JSON lines where Parquet cannot carry a column."""

import io
from collections.abc import Sequence

import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.column_config import BigQueryColumn, BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.column_config import ColumnMode as Mode
from bizon.connectors.destinations.bigquery.src.column_config import ColumnType as Type
from bizon.connectors.destinations.bigquery.src.declared_columns import type_of, unnester
from bizon.connectors.destinations.bigquery.src.json_rows import json_row, load_line
from bizon.connectors.destinations.bigquery.src.schema import six_columns
from bizon.destination.columns import frame_type

_NOT_IN_PARQUET = (Type.JSON, Type.BIGNUMERIC, Type.TIME, Type.BYTES)
"""Parquet does not have JSON and BIGNUMERIC; Polars keeps TIME in nanoseconds; the emulator cannot read BYTES. REQUIRED
columns are excluded as well, since Polars writes every column as nullable."""


class Content:
    """Encodes rows of one table with the columns ``fields``. ``schema``: the declared columns of an unnested table."""

    def __init__(self, schema: BigQueryRecordSchemaConfig | None, fields: Sequence[SchemaField]) -> None:
        self._unnester = None if schema is None else unnester(schema, has_defaults=False)
        columns = schema.record_schema if schema is not None else ()
        self.format = "parquet" if all(map(_fits_parquet, columns)) else "json"
        self._columns = columns
        self._fields = fields

    def encode(self, frame: pl.DataFrame) -> bytes:
        """The rows of a destination frame. Raises RowsRejectedError for records that do not fit their columns."""
        if self._unnester is None:
            return _parquet(six_columns(frame, self._fields))
        if self.format == "json":
            return b"".join(load_line(json_row(row), self._fields) for row in self._unnester.rows(frame))
        schema = {column.name: _data_type(column) for column in self._columns}
        return _parquet(pl.DataFrame(self._unnester.columns(frame), schema=schema))


def _parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _fits_parquet(column: BigQueryColumn) -> bool:
    is_carried = column.type not in _NOT_IN_PARQUET and column.mode is not Mode.REQUIRED
    return is_carried and all(map(_fits_parquet, column.fields or ()))


def _data_type(column: BigQueryColumn) -> pl.DataType:
    data_type = pl.Datetime("us") if column.type is Type.DATETIME else frame_type(type_of(column))
    if column.fields is not None:
        data_type = pl.Struct({field.name: _data_type(field) for field in column.fields})
    return pl.List(data_type) if column.mode is Mode.REPEATED else data_type
