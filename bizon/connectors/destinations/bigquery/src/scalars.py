"""One value of a record as BigQuery takes it, for each type of a column."""

import base64
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any

from bizon.connectors.destinations.bigquery.src.column_config import ColumnType
from bizon.rows.frames import encode_data

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DIGITS = {ColumnType.NUMERIC: (29, 9), ColumnType.BIGNUMERIC: (38, 38)}  # before and after the point
_EXACT = Context(prec=100)  # digits; more than both together
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_FRACTION = re.compile(r"(\.\d{6})\d+")  # BigQuery keeps microseconds
_LARGE = re.compile(r"[eE]\+?\d{3}|\d{300}")  # in JSON: a number that a 64-bit float may not hold
_INTEGER_DIGITS = 19  # of 2**63
_SHAPE = re.compile(
    r"\s*(\{|(POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION|FULLGLOBE)\b"
    r"|([0-9a-f]{2}){5,}\s*$)",
    re.IGNORECASE | re.ASCII,
)
"""The beginning of a GEOGRAPHY in GeoJSON or WKT, or a whole one in hexadecimal WKB."""

Convert = Callable[[Any], Any]


def _string(value: Any) -> str:
    if not isinstance(value, str):
        return encode_data(value).decode()
    if not value.isascii():
        value.encode()  # raises for half of a surrogate pair
    return value


def _json(value: Any) -> str:
    text = encode_data(value).decode()
    if _LARGE.search(text) and not all(map(math.isfinite, _numbers(value))):
        raise OverflowError
    return text


def _numbers(value: Any) -> Iterable[float]:
    """All numbers in a JSON value, as BigQuery keeps them; infinite when it cannot."""
    if isinstance(value, int | Decimal):
        yield float(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    if isinstance(value, Decimal) and value and value.adjusted() >= _INTEGER_DIGITS:
        raise OverflowError  # before int() writes out the digits of 1E+999999999
    whole = int(value)
    if value != whole:
        raise TypeError
    if not _SMALLEST <= whole <= _LARGEST:
        raise OverflowError
    return whole


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise OverflowError
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _decimal(type: ColumnType) -> Convert:
    before, behind = _DIGITS[type]
    smallest = Decimal(1).scaleb(-behind)

    def convert(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise TypeError
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError
        if not number:
            return Decimal(0)  # whose exponent may be anything
        if number.adjusted() >= before:
            raise OverflowError
        rounded = number.quantize(smallest, context=_EXACT)
        if number != rounded:
            raise OverflowError
        return number if -behind <= int(number.as_tuple().exponent) <= 0 else rounded

    return convert


def _date(value: Any) -> date:
    return date.fromisoformat(value)


def _time(value: Any) -> time:
    if not _TIME.fullmatch(value):
        raise ValueError
    return time.fromisoformat(value.zfill(len(value) + 1) if value[1] == ":" else value)


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))


def _datetime(value: Any) -> datetime:
    moment = _moment(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _timestamp(value: Any) -> datetime:
    moment = _moment(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


def _geography(value: Any) -> str:
    if isinstance(value, dict):
        return _json(value)  # GeoJSON
    text = _string(value)
    if not _SHAPE.match(text):
        raise ValueError
    return text


SCALARS: dict[ColumnType, Convert] = {
    ColumnType.BOOLEAN: _boolean,
    ColumnType.BYTES: _bytes,
    ColumnType.DATE: _date,
    ColumnType.DATETIME: _datetime,
    ColumnType.FLOAT: _float,
    ColumnType.FLOAT64: _float,
    ColumnType.GEOGRAPHY: _geography,
    ColumnType.INTEGER: _integer,
    ColumnType.INT64: _integer,
    ColumnType.NUMERIC: _decimal(ColumnType.NUMERIC),
    ColumnType.BIGNUMERIC: _decimal(ColumnType.BIGNUMERIC),
    ColumnType.JSON: _json,
    ColumnType.STRING: _string,
    ColumnType.TIME: _time,
    ColumnType.TIMESTAMP: _timestamp,
}


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "an integer", float: "a number", Decimal: "a number", list: "an array"}
    return names.get(type(value), "null" if value is None else "an object")
