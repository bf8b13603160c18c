"""Rows of unnested tables (``unnest_values.converter``) as JSON."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from google.cloud.bigquery import SchemaField


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as insertAll takes it: JSON columns are text, columns without a value are omitted."""
    return {name: _value(value) for name, value in row.items() if value is not None}


def load_line(row: Mapping[str, Any], fields: Sequence[SchemaField]) -> bytes:
    """The same row as a line for a load job, where a JSON column holds its value."""
    return orjson.dumps(_with_json(row, fields), option=orjson.OPT_APPEND_NEWLINE)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return json_row(value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _with_json(row: Mapping[str, Any], fields: Sequence[SchemaField]) -> dict[str, Any]:
    types = {field.name: field for field in fields}
    return {name: _loaded(value, types[name]) for name, value in row.items()}


def _loaded(value: Any, field: SchemaField) -> Any:
    if isinstance(value, list):
        return [_loaded(item, field) for item in value]
    if isinstance(value, dict):
        return _with_json(value, field.fields)
    return orjson.Fragment(value) if field.field_type == "JSON" else value
