"""From a JSON value to the value of a declared column.

A value that a column cannot hold is refused: a number in quotes is not a number, 1.5 is not an integer, a number is not
a moment, and a decimal with more digits than its type has is not rounded.
"""

import base64
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any

from bizon.destination.column_types import CALENDAR, INT64_DIGITS, LARGEST_INT64, SMALLEST_INT64, ColumnType, Kind
from bizon.destination.declared import Convert, DeclaredColumn, Keys, MisfitError, kind_of

if TYPE_CHECKING:
    from bizon.destination.declared import Reading

_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_FRACTION = re.compile(r"(\.\d{6})\d+")  # moments are microseconds
_LARGE = re.compile(r"[eE]\+?\d{3}|\d{300}")  # in JSON: a number that a 64-bit float may not hold


def converter(column: DeclaredColumn, reading: "Reading", path: str = "") -> Convert:
    """Returns a function from the value in a record to the value of the column: text, int, float, bool, bytes, date,
    time, datetime with UTC, Decimal, dict, list; None for no value. JSON is text."""
    here = f"{path}.{column.name}" if path else column.name
    one = column.read or (_record(column, reading, here) if column.fields else scalar(column.type, reading))

    def convert(value: Any) -> Any:
        if value is None:
            if column.is_required:
                raise MisfitError(here, "is REQUIRED", "none")
            return None
        try:
            return one(value)
        except MisfitError:
            raise
        except UnicodeEncodeError:
            raise MisfitError(here, f"is {column.word}", "half a surrogate pair, which is not text") from None
        except Exception:  # noqa: BLE001 - whatever a value does to its conversion, it does not fit
            raise misfit(here, column, value) from None

    return _repeated(convert, here, reading.engine) if column.is_repeated else convert


def misfit(path: str, column: DeclaredColumn, value: Any) -> MisfitError:
    """The error for a value that the type of a column does not have."""
    return MisfitError(path, f"is {column.word}", f"{kind_of(value)} that does not fit")


def _repeated(one: Convert, path: str, engine: str) -> Convert:
    def convert(value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise MisfitError(path, "is REPEATED", f"{kind_of(value)}, not an array")
        if None in value:
            raise MisfitError(path, f"is REPEATED, and {engine} keeps no null in an array")
        return [one(item) for item in value]

    return convert


def _record(column: DeclaredColumn, reading: "Reading", path: str) -> Convert:
    inner = {field.name: converter(field, reading, path) for field in column.fields}
    keys = Keys(inner, f"{path}.", any_case=reading.any_case)

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError
        named = keys.by_column(value)
        return {name: of(named.get(name)) for name, of in inner.items()}

    return convert


def scalar(column: ColumnType, reading: "Reading") -> Convert:
    """The conversion of a value to one of this type. It raises any exception for a value that does not fit."""
    dumps = reading.json.dumps
    match column.kind:
        case Kind.TEXT:
            return lambda value: _string(value) if isinstance(value, str) else dumps(value)
        case Kind.JSON:
            return _finite_json(dumps) if reading.json_floats else dumps
        case Kind.INT64:
            return _integer if reading.whole_floats else _digits
        case Kind.DECIMAL:
            return _decimal(column)
        case kind if kind in CALENDAR and reading.by_columns:
            return _string  # ``unnest_frames.py`` reads it
        case kind:
            return _SCALARS[kind]


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not value.isascii():
        value.encode()  # raises for half of a surrogate pair
    return value


def _finite_json(dumps: Callable[[Any], str]) -> Convert:
    def convert(value: Any) -> str:
        text = dumps(value)
        if _LARGE.search(text):
            json.loads(text, parse_int=_finite, parse_float=_finite)
        return text

    return convert


def _finite(number: str) -> None:
    if not math.isfinite(float(number)):
        raise OverflowError


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _digits(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return _integer(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    if isinstance(value, Decimal) and value and value.adjusted() >= INT64_DIGITS:
        raise OverflowError  # before int() writes out the digits of 1E+999999999
    whole = int(value)
    if value != whole:
        raise TypeError
    if not SMALLEST_INT64 <= whole <= LARGEST_INT64:
        raise OverflowError
    return whole


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise OverflowError
    return number


def _decimal(column: ColumnType) -> Convert:
    """A number, or text that is one."""
    smallest, exact = Decimal(1).scaleb(-column.scale), Context(column.precision, traps=[Inexact, InvalidOperation])

    def convert(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise TypeError
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError
        if not number:
            return Decimal(0)  # whose exponent may be anything
        rounded = number.quantize(smallest, context=exact)  # raises where the digits are too many
        return number if -column.scale <= int(number.as_tuple().exponent) <= 0 else rounded

    return convert


def _time(value: Any) -> time:
    if not _TIME.fullmatch(value):
        raise ValueError
    return time.fromisoformat(value.zfill(len(value) + 1) if value[1] == ":" else value)


def _timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_SCALARS: dict[Kind, Convert] = {
    Kind.BOOLEAN: _boolean,
    Kind.BYTES: partial(base64.b64decode, validate=True),
    Kind.DATE: date.fromisoformat,
    Kind.FLOAT64: _float,
    Kind.TIME: _time,
    Kind.TIMESTAMP: _timestamp,
}
