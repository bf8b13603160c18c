"""Declared columns of BigQuery in the types of the kit."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bizon.connectors.destinations.bigquery.src.column_config import BigQueryColumn, ColumnMode, ColumnType
from bizon.destination import column_types as kit
from bizon.destination.declared import Convert, DeclaredColumn, Reading
from bizon.destination.unnest import Unnester
from bizon.destination.unnest_values import scalar

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig

_SHAPE = re.compile(
    r"\s*(\{|(POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION|FULLGLOBE)\b"
    r"|([0-9a-f]{2}){5,}\s*$)",
    re.IGNORECASE | re.ASCII,
)
"""The beginning of a GEOGRAPHY in GeoJSON or WKT, or a whole one in hexadecimal WKB."""
_ONLY_HERE = {ColumnType.GEOGRAPHY: kit.TEXT, ColumnType.RECORD: kit.JSON}


def unnester(schema: "BigQueryRecordSchemaConfig", *, has_defaults: bool = True) -> Unnester:
    """The columns of one table. ``has_defaults``: BigQuery fills in defaults, so a REQUIRED column with one may be
    empty."""
    return Unnester(schema.destination_id, _declared(schema.record_schema, has_defaults), _READING)


def type_of(column: BigQueryColumn) -> kit.ColumnType:
    """The type of a column in the kit. A DATETIME is a moment in UTC there."""
    return _ONLY_HERE.get(column.type) or kit.column_type(column.type.value)


def _declared(columns: Iterable[BigQueryColumn], has_defaults: bool) -> tuple[DeclaredColumn, ...]:
    return tuple(
        DeclaredColumn(
            column.name,
            type_of(column),
            column.type.value,
            is_required=column.mode is ColumnMode.REQUIRED
            and not (has_defaults and column.default_value_expression is not None),
            is_repeated=column.mode is ColumnMode.REPEATED,
            fields=_declared(column.fields or (), has_defaults),
            read=_READ.get(column.type),
        )
        for column in columns
    )


_READING = Reading("BigQuery", any_case=True, whole_floats=True, json_floats=True)
_text, _json, _moment = (scalar(type, _READING) for type in (kit.TEXT, kit.JSON, kit.TIMESTAMP))


def _geography(value: Any) -> Any:
    if isinstance(value, dict):
        return _json(value)  # GeoJSON
    text = _text(value)
    if not _SHAPE.match(text):
        raise ValueError
    return text


def _datetime(value: Any) -> Any:
    return _moment(value).replace(tzinfo=None)


_READ: dict[ColumnType, Convert] = {ColumnType.GEOGRAPHY: _geography, ColumnType.DATETIME: _datetime}
