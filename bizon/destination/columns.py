"""Columns of a table, and the types that they have in a frame. Pure."""

from typing import NamedTuple

import polars as pl

from bizon.destination.column_types import WIDEST_DECIMAL, ColumnType, Kind
from bizon.rows.frames import UTC_MICROSECONDS

_POLARS: dict[Kind, pl.DataType] = {
    Kind.BOOLEAN: pl.Boolean(),
    Kind.INT64: pl.Int64(),
    Kind.FLOAT64: pl.Float64(),
    Kind.TIMESTAMP: UTC_MICROSECONDS,
    Kind.DATE: pl.Date(),
    Kind.TIME: pl.Time(),
    Kind.BYTES: pl.Binary(),
}


class Column(NamedTuple):
    """A column and the values it takes. ``path``: the keys that lead to the value in a record; one key unless objects
    are flattened. ``name``: the name in the table."""

    path: tuple[str, ...]
    name: str
    type: ColumnType


def frame_type(column: ColumnType) -> pl.DataType:
    """Type of the column in a frame. JSON is its text; so are decimals of more than 38 digits."""
    if column.kind is Kind.DECIMAL and column.precision <= WIDEST_DECIMAL:
        return pl.Decimal(column.precision, column.scale)
    return _POLARS.get(column.kind, pl.String())
