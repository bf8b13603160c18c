"""The types of a table's columns: one vocabulary for every destination with columns. Imports nothing heavy.

A connector maps these types to the types of its engine. Nothing is promised about storage: an engine without ``date``
may keep text. A column of ``timestamp`` holds moments, not the offsets that they were written with.
"""

import re
from enum import StrEnum
from typing import NamedTuple

WIDEST_DECIMAL = 38  # digits of a decimal that a Polars column holds
INT64_DIGITS = 19
SMALLEST_INT64, LARGEST_INT64 = -(2**63), 2**63 - 1
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d{1,4})\s*(?:,\s*(\d{1,4})\s*)?\)")


class Kind(StrEnum):
    """The kind of a column. ``time`` and ``bytes`` are declared, never inferred."""

    BOOLEAN = "boolean"
    INT64 = "int64"
    DECIMAL = "decimal"
    FLOAT64 = "float64"
    TIMESTAMP = "timestamp"
    DATE = "date"
    TIME = "time"
    TEXT = "text"
    JSON = "json"
    BYTES = "bytes"


CALENDAR = frozenset({Kind.TIMESTAMP, Kind.DATE})
"""The kinds whose text may be read by columns, all of it at once."""


class ColumnType(NamedTuple):
    """Type of a column. ``precision`` and ``scale`` belong to decimals: digits in all, and after the point."""

    kind: Kind
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision}, {self.scale})" if self.kind is Kind.DECIMAL else self.kind.value


BOOLEAN, INT64, FLOAT64 = ColumnType(Kind.BOOLEAN), ColumnType(Kind.INT64), ColumnType(Kind.FLOAT64)
TIMESTAMP, DATE, TIME = ColumnType(Kind.TIMESTAMP), ColumnType(Kind.DATE), ColumnType(Kind.TIME)
TEXT, JSON, BYTES = ColumnType(Kind.TEXT), ColumnType(Kind.JSON), ColumnType(Kind.BYTES)

_ALIASES = {
    "string": TEXT,
    "integer": INT64,
    "float": FLOAT64,
    "datetime": TIMESTAMP,
    "numeric": ColumnType(Kind.DECIMAL, 38, 9),
    "bignumeric": ColumnType(Kind.DECIMAL, 76, 38),
    **{kind.value: ColumnType(kind) for kind in Kind if kind is not Kind.DECIMAL},
}


def decimal(precision: int, scale: int = 0) -> ColumnType:
    """A decimal type. Raises ValueError unless ``0 <= scale <= precision`` and ``precision`` is positive."""
    if not 0 <= scale <= precision or not precision:
        raise ValueError(f"decimal({precision}, {scale}): the scale is from 0 to the precision, which is at least 1")
    return ColumnType(Kind.DECIMAL, precision, scale)


def column_type(name: str) -> ColumnType:
    """The type of this name, in any case: the names of ``Kind``, ``decimal(precision, scale)``, and the names that
    `record_schemas` of `file` and of the BigQuery destinations use. Raises ValueError for any other name, as RECORD and
    GEOGRAPHY, which exist in one engine only.

    ``datetime`` is a moment here: the BigQuery connector renders it without its zone.
    """
    wanted = name.strip().lower()
    found = _DECIMAL.fullmatch(wanted)
    if found:
        return decimal(int(found[1]), int(found[2] or 0))
    if wanted not in _ALIASES:
        raise ValueError(f"'{name}' is not a column type: {', '.join(sorted(_ALIASES))}, decimal(precision, scale)")
    return _ALIASES[wanted]


def holds(wide: ColumnType, narrow: ColumnType) -> bool:
    """Whether a column changes no stored value when its type changes from ``narrow`` to ``wide``."""
    if wide == narrow:
        return True
    if wide.kind is not Kind.DECIMAL:
        return False
    if narrow.kind is Kind.INT64:
        return wide.precision - wide.scale >= INT64_DIGITS
    is_decimal = narrow.kind is Kind.DECIMAL
    whole = wide.precision - wide.scale >= narrow.precision - narrow.scale
    return is_decimal and whole and wide.scale >= narrow.scale


def common_type(left: ColumnType, right: ColumnType) -> ColumnType | None:
    """The narrowest type that equals every value of both, as numbers are equal; None when there is none."""
    if holds(left, right):
        return left
    if holds(right, left):
        return right
    if {left, right} == {INT64, FLOAT64}:
        return FLOAT64
    sizes = [
        (INT64_DIGITS, 0) if kind == INT64 else (kind.precision - kind.scale, kind.scale) for kind in (left, right)
    ]
    whole, scale = max(size[0] for size in sizes), max(size[1] for size in sizes)
    are_exact = {left.kind, right.kind} <= {Kind.INT64, Kind.DECIMAL}
    return decimal(whole + scale, scale) if are_exact and whole + scale <= WIDEST_DECIMAL else None
