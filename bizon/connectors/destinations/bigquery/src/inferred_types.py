"""The types of the kit in BigQuery."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from google.cloud.bigquery import SchemaField

from bizon.destination.column_types import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT64,
    INT64,
    JSON,
    TEXT,
    TIME,
    TIMESTAMP,
    ColumnType,
    Kind,
    column_type,
    decimal,
)

if TYPE_CHECKING:
    from bizon.destination.config import DestinationColumn

NUMERIC, BIGNUMERIC = decimal(38, 9), decimal(76, 38)
DECIMALS = (NUMERIC, BIGNUMERIC)
"""The decimals of new and wider columns."""
_NAMES = {
    BOOLEAN: "BOOLEAN",
    BYTES: "BYTES",
    DATE: "DATE",
    FLOAT64: "FLOAT",
    INT64: "INTEGER",
    JSON: "JSON",
    TEXT: "STRING",
    TIME: "TIME",
    TIMESTAMP: "TIMESTAMP",
    NUMERIC: "NUMERIC",
    BIGNUMERIC: "BIGNUMERIC",
}
_KINDS = {name: kind for kind, name in _NAMES.items()} | {"BOOL": BOOLEAN, "FLOAT64": FLOAT64, "INT64": INT64}
_KINDS |= {"DECIMAL": NUMERIC, "BIGDECIMAL": BIGNUMERIC}


def kind_of(field: SchemaField) -> ColumnType | None:
    """The type of a column; None for one that the kit does not write: RECORD, REPEATED, DATETIME, text of a limited
    length and others."""
    kind = _KINDS.get(field.field_type.upper())
    if kind is None or field.mode == "REPEATED" or field.max_length is not None:
        return None
    if kind.kind is Kind.DECIMAL and field.precision is not None:
        return decimal(int(field.precision), int(field.scale or 0))
    return kind


def kinds_of(fields: Iterable[SchemaField]) -> dict[str, ColumnType | None]:
    """The types of the columns of a table, by name."""
    return {field.name: kind_of(field) for field in fields}


def declared_types(columns: "Iterable[DestinationColumn]") -> dict[str, ColumnType]:
    """The types that `record_schemas` declares, by key."""
    return {column.name: column_type(str(column.type)) for column in columns}


def field_of(name: str, kind: ColumnType, description: str | None = None, *, required: bool = False) -> SchemaField:
    """A column."""
    mode = "REQUIRED" if required else "NULLABLE"
    if kind in _NAMES:
        return SchemaField(name, _NAMES[kind], mode, description=description)  # type: ignore[arg-type]  # None means none
    is_small = kind.precision - kind.scale <= 29 and kind.scale <= 9
    return SchemaField(name, "NUMERIC" if is_small else "BIGNUMERIC", mode, precision=kind.precision, scale=kind.scale)
