"""The types of columns in Postgres."""

import re

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
    decimal,
)

_TYPES = {
    "boolean": BOOLEAN,
    "bigint": INT64,
    "integer": decimal(9),
    "smallint": decimal(4),
    "numeric": decimal(76, 38),
    "double precision": FLOAT64,
    "timestamp with time zone": TIMESTAMP,
    "date": DATE,
    "time without time zone": TIME,
    "text": TEXT,
    "character varying": TEXT,
    "json": JSON,
    "bytea": BYTES,
}
"""Types by their name in the catalogue, with a type whose values they hold, all and unchanged. Others are left alone.

JSON is ``json``, which keeps its text. ``jsonb`` changes it: it drops all but one of equal keys, and returns other text
than was written. It refuses numbers of more than 131,072 digits, NUL and half a surrogate pair, with the whole batch.
"""
_SQL = {
    Kind.BOOLEAN: "boolean",
    Kind.INT64: "bigint",
    Kind.FLOAT64: "double precision",
    Kind.TIMESTAMP: "timestamp with time zone",
    Kind.DATE: "date",
    Kind.TIME: "time without time zone",
    Kind.TEXT: "text",
    Kind.JSON: "json",
    Kind.BYTES: "bytea",
}
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")


def sql_type(column: ColumnType) -> str:
    """The type of a new column, as SQL."""
    return f"numeric({column.precision},{column.scale})" if column.kind is Kind.DECIMAL else _SQL[column.kind]


def column_type(name: str) -> ColumnType | None:
    """The type of a column in the catalogue; None for one that would change or refuse a value."""
    found = _NUMERIC.fullmatch(name)
    if found is None:
        return _TYPES.get(name)
    precision, scale = int(found[1]), int(found[2])
    return decimal(precision, scale) if scale <= precision else None
