"""Evidence of the type of a column, and the narrowest type that holds all its values without loss.

Evidence of two batches is combined with ``|``, in any order and grouping, with the same result.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from enum import Flag, auto
from typing import Any, NamedTuple

import orjson
import polars as pl

from bizon.destination.column_types import (
    BOOLEAN,
    DATE,
    FLOAT64,
    INT64,
    INT64_DIGITS,
    JSON,
    LARGEST_INT64,
    SMALLEST_INT64,
    TEXT,
    TIMESTAMP,
    WIDEST_DECIMAL,
    ColumnType,
    Kind,
    decimal,
)
from bizon.destination.leaves import Sent
from bizon.destination.moments import dates, moments

LARGEST_EXACT = 2**53  # of a float, and every integer below it is exact, too
_ROOMY_SCALE = 9  # digits after the point of a widened column, so that it need not grow with each batch
_LENGTH_OF_A_DATE = 10
_FIRST_WITH_EXPONENT = 1e16  # of the floats that orjson writes
_LIKE_A_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:$|[Tt ])")


class Shape(Flag):
    """The shapes of values that are not null."""

    NOTHING = 0
    BOOLEAN = auto()
    NUMBER = auto()
    DATE = auto()
    TIMESTAMP = auto()
    TEXT = auto()
    NESTED = auto()


_STRINGS = Shape.DATE | Shape.TIMESTAMP | Shape.TEXT
_NUMBERS = (Kind.INT64, Kind.DECIMAL)
_TYPES = {Shape.BOOLEAN: BOOLEAN, Shape.DATE: DATE, Shape.TIMESTAMP: TIMESTAMP, Shape.TEXT: TEXT}


class Evidence(NamedTuple):
    """Facts about values. About the numbers among them: ``whole`` and ``scale``, the most digits before and after the
    point; ``fraction``, whether one is written with a point or an exponent; ``beyond_int64`` and ``beyond_float``,
    whether a number is out of the range of 64-bit integers, or has no equal float (an integer: is larger than 2**53).

    A number that no decimal of 38 digits holds leaves no evidence unless a float is equal to it: it fits no column.
    """

    shapes: Shape = Shape.NOTHING
    whole: int = 0
    scale: int = 0
    fraction: bool = False
    beyond_int64: bool = False
    beyond_float: bool = False

    def __or__(self, other: "Evidence") -> "Evidence":
        shapes = self.shapes | other.shapes
        if shapes & _STRINGS not in (Shape.NOTHING, Shape.DATE, Shape.TIMESTAMP):
            shapes = shapes & ~_STRINGS | Shape.TEXT
        return Evidence(
            shapes,
            max(self.whole, other.whole),
            max(self.scale, other.scale),
            self.fraction or other.fraction,
            self.beyond_int64 or other.beyond_int64,
            self.beyond_float or other.beyond_float,
        )

    def column_type(self) -> ColumnType | None:
        """The type of a new column; None for a column that has only nulls. Shapes that nothing narrower holds
        together are JSON. Where whole digits and fractions need more than 38 digits, the whole digits win: a fraction
        that is too long does not fit."""
        if self.shapes is Shape.NOTHING:
            return None
        if self.shapes is not Shape.NUMBER:
            return _TYPES.get(self.shapes, JSON)
        if not self.fraction:
            return decimal(WIDEST_DECIMAL) if self.beyond_int64 else INT64
        if not self.beyond_float:
            return FLOAT64
        return decimal(WIDEST_DECIMAL, min(self.scale, WIDEST_DECIMAL - self.whole))


def widened(existing: ColumnType, evidence: Evidence) -> ColumnType | None:
    """The type that an existing column needs, to take these values and keep every value that it may hold already.
    None when there is no such type, or it is the type that the column has."""
    if existing.kind not in _NUMBERS or Shape.NUMBER not in evidence.shapes:
        return None
    is_integer = existing.kind is Kind.INT64
    whole = max(INT64_DIGITS if is_integer else existing.precision - existing.scale, evidence.whole)
    scale = max(existing.scale, evidence.scale)
    if is_integer and not scale and not evidence.beyond_int64:
        return None
    if scale > existing.scale and whole + _ROOMY_SCALE <= WIDEST_DECIMAL:
        scale = max(scale, _ROOMY_SCALE)
    if whole + scale > WIDEST_DECIMAL:
        return None
    wide = decimal(WIDEST_DECIMAL if not scale else whole + scale, scale)
    return None if wide == existing else wide


def evidence_of(values: Sequence[Any]) -> Evidence:
    """Evidence of the leaves of a column. Every value counts."""
    found = Evidence()
    by_type: dict[type, list[Any]] = {kind: [] for kind in {*map(type, values)} - {type(None)}}
    if len(by_type) == 1:
        by_type = {kind: [value for value in values if value is not None] for kind in by_type}
    elif by_type:
        for value in values:
            if value is not None:
                by_type[value.__class__].append(value)
    for kind, alike in by_type.items():
        found |= _EVIDENCE[kind](alike)
    return found


def number_of(value: "int | float | Sent") -> Decimal | None:
    """The exact number of a leaf; None for another value, and beyond every decimal."""
    text = value.text if isinstance(value, Sent) else str(value)
    if text[:1] in '"{[':
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def digits(number: Decimal) -> tuple[int, int]:
    """Digits before and after the point, without zeros that say nothing."""
    _, figures, exponent = number.as_tuple()
    if not number or not isinstance(exponent, int):
        return 0, 0
    trailing = len(figures) - len("".join(map(str, figures)).rstrip("0"))
    return max(number.adjusted() + 1, 0), max(-exponent - trailing, 0)


def _of_booleans(_: list[bool]) -> Evidence:
    return Evidence(Shape.BOOLEAN)


def _of_nested(_: list[Any]) -> Evidence:
    return Evidence(Shape.NESTED)


def _of_integers(values: list[int]) -> Evidence:
    lowest, highest = min(values), max(values)
    largest = max(-lowest, highest)
    beyond = lowest < SMALLEST_INT64 or highest > LARGEST_INT64
    return Evidence(Shape.NUMBER, len(str(largest)) if largest else 0, 0, False, beyond, largest > LARGEST_EXACT)


def _of_floats(values: list[float]) -> Evidence:
    texts = orjson.dumps(values)[1:-1].split(b",")
    with_exponent = [text for text in texts if b"e" in text]
    plain = [text for text in texts if b"e" not in text] if with_exponent else texts
    scale = max([len(text) - text.find(b".") for text in plain], default=1) - 1
    if scale == 1 and all(text.endswith(b".0") for text in plain):
        scale = 0
    below = [abs(value) for value in values if abs(value) < _FIRST_WITH_EXPONENT] if with_exponent else values
    largest = int(max(map(abs, below), default=0))
    whole = len(str(largest)) if largest else 0
    for text in with_exponent:
        before, after = digits(Decimal(text.decode()))
        if before + after <= WIDEST_DECIMAL:  # else a float is all that holds it
            whole, scale = max(whole, before), max(scale, after)
    return Evidence(Shape.NUMBER, whole, scale, fraction=True, beyond_int64=whole >= INT64_DIGITS)


def _of_texts(values: list[str]) -> Evidence:
    first = values[0]
    if not _LIKE_A_DATE.match(first):
        return Evidence(Shape.TEXT)
    shape, parsed = (Shape.DATE, dates) if len(first) == _LENGTH_OF_A_DATE else (Shape.TIMESTAMP, moments)
    is_alike = not parsed(pl.Series(values, dtype=pl.String)).null_count()
    return Evidence(shape if is_alike else Shape.TEXT)


def _of_sent(values: list[Sent]) -> Evidence:
    found = Evidence()
    for value in values:
        if value.is_json:
            found |= _of_one(value)
    return found


def _of_one(value: Sent) -> Evidence:
    if value.text.startswith('"'):
        return Evidence(Shape.TEXT)
    if value.text.startswith(("{", "[")):
        return Evidence(Shape.NESTED)
    number = number_of(value)
    if number is None:
        return Evidence()
    whole, scale = digits(number)
    if whole + scale > WIDEST_DECIMAL:
        return Evidence()
    is_whole = value.text.lstrip("-").isdigit()
    beyond_int64 = not SMALLEST_INT64 <= number <= LARGEST_INT64
    beyond_float = not is_whole or abs(number) > LARGEST_EXACT
    return Evidence(Shape.NUMBER, whole, scale, not is_whole, beyond_int64, beyond_float)


_EVIDENCE: dict[type, Any] = {
    bool: _of_booleans,
    int: _of_integers,
    float: _of_floats,
    str: _of_texts,
    list: _of_nested,
    dict: _of_nested,
    Sent: _of_sent,
}
