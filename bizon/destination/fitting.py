"""From the leaves of a column to its type. A leaf that the type cannot hold without loss is null there."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import time
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from bizon.destination.column_types import INT64, LARGEST_INT64, SMALLEST_INT64, WIDEST_DECIMAL, ColumnType, Kind, holds
from bizon.destination.columns import frame_type
from bizon.destination.evidence import LARGEST_EXACT, digits, number_of
from bizon.destination.leaves import Sent
from bizon.destination.moments import dates, moments

if TYPE_CHECKING:
    from bizon.destination.typed_engine import JsonMisfits

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
REPLACEMENT = "\ufffd"
_SURROGATE_PAIR = 12  # characters
_STRINGS = {Kind.TIMESTAMP: moments, Kind.DATE: dates}
_PLAIN: dict[Kind, type] = {Kind.BOOLEAN: bool, Kind.INT64: int, Kind.FLOAT64: float, Kind.TEXT: str}
_PLAIN.update(dict.fromkeys(_STRINGS, str))
_NULL = type(None)


class Fitted(NamedTuple):
    """``series``: the column. ``misfits``: the positions of leaves that it does not hold exactly: it has null there, or
    text with U+FFFD in place of what no engine is sure to store."""

    series: pl.Series
    misfits: list[int]


def fitted(values: Sequence[Any], column: ColumnType, json_misfits: "JsonMisfits | None" = None) -> Fitted:
    """The leaves of a column in its type; moments and dates are still text, see ``finished``. ``json_misfits``: of an
    engine that reads the JSON it stores."""
    fit = _fitted(values, column)
    if json_misfits is None or column.kind is not Kind.JSON or not (more := json_misfits(values, fit.series)):
        return fit
    return Fitted(fit.series.scatter(more, None), sorted({*fit.misfits, *more}))


def _fitted(values: Sequence[Any], column: ColumnType) -> Fitted:
    kinds = {*map(type, values), _NULL} - {_NULL}
    if kinds <= {_PLAIN.get(column.kind)}:
        try:
            return Fitted(pl.Series(values, dtype=_at_first(column)), [])
        except TypeError:  # an integer that needs 64 bits without a sign
            return _one_by_one(values, column)
    if column.kind is Kind.JSON and kinds == {bytes}:
        return Fitted(pl.Series(values, dtype=pl.Binary).cast(pl.String), [])
    if column.kind is Kind.JSON and not kinds & {Sent, bytes}:
        dumps = orjson.dumps
        texts = [None if value is None else dumps(value) for value in values]
        return Fitted(pl.Series(texts, dtype=pl.Binary).cast(pl.String), [])
    if column.kind is Kind.DECIMAL and kinds == {int} and holds(column, INT64) and column.precision <= WIDEST_DECIMAL:
        whole = _fitted(values, INT64)
        if not whole.misfits:
            return Fitted(whole.series.cast(frame_type(column)), [])
    return _one_by_one(values, column)


def finished(series: pl.Series, column: ColumnType) -> Fitted:
    """The column of a type whose text is read at the end, all at once."""
    if column.kind not in _STRINGS:
        return Fitted(series, [])
    found = _STRINGS[column.kind](series)
    if found.null_count() == series.null_count():
        return Fitted(found, [])
    return Fitted(found, (found.is_null() & series.is_not_null()).arg_true().to_list())


def _at_first(column: ColumnType) -> pl.DataType:
    return pl.String() if column.kind in _STRINGS else frame_type(column)


def _one_by_one(values: Sequence[Any], column: ColumnType) -> Fitted:
    convert = _CONVERT[column.kind]
    kept: list[Any] = []
    misfits: list[int] = []
    for position, value in enumerate(values):
        fit, is_exact = (None, True) if value is None else convert(value, column)
        kept.append(fit)
        if not is_exact:
            misfits.append(position)
    return Fitted(pl.Series(kept, dtype=_at_first(column)), misfits)


_Fit = tuple[Any, bool]
_MISFIT: _Fit = None, False


def _boolean(value: Any, _: ColumnType) -> _Fit:
    return (value, True) if isinstance(value, bool) else _MISFIT


def _integer(value: Any, _: ColumnType) -> _Fit:
    number = _number(value)
    if number is None or not SMALLEST_INT64 <= number <= LARGEST_INT64 or number != int(number):
        return _MISFIT
    return int(number), True


def _float(value: Any, _: ColumnType) -> _Fit:
    if isinstance(value, float):
        return value, True
    is_exact = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_EXACT
    return (float(value), True) if is_exact else _MISFIT


def _decimal(value: Any, column: ColumnType) -> _Fit:
    number = _number(value)
    if number is None:
        return _MISFIT
    whole, scale = digits(number)
    if whole > column.precision - column.scale or scale > column.scale:
        return _MISFIT
    exact = number.quantize(Decimal(1).scaleb(-column.scale), context=Context(prec=column.precision + 1))
    return (exact if column.precision <= WIDEST_DECIMAL else f"{exact:f}"), True


def _text(value: Any, _: ColumnType) -> _Fit:
    if isinstance(value, str):
        return value, True
    if isinstance(value, Sent) and value.text.startswith('"') and value.is_json:
        return _UNSTORABLE.sub(REPLACEMENT, json.loads(value.text)), False
    return _MISFIT


def _string(value: Any, _: ColumnType) -> _Fit:
    return (value, True) if isinstance(value, str) else _MISFIT


def _time(value: Any, _: ColumnType) -> _Fit:
    fits = isinstance(value, str) and _TIME.fullmatch(value)
    return (time.fromisoformat(value), True) if fits else _MISFIT


def _bytes(value: Any, _: ColumnType) -> _Fit:
    try:
        content = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (ValueError, binascii.Error):
        return _MISFIT
    return (content, True) if content is not None and base64.b64encode(content).decode() == value else _MISFIT


def _json(value: Any, _: ColumnType) -> _Fit:
    if isinstance(value, bytes):
        return value.decode(), True
    if not isinstance(value, Sent):
        return orjson.dumps(value).decode(), True
    if not value.is_json:
        return _MISFIT
    clean = _UNSTORABLE_ESCAPE.sub(_storable, value.text)
    return clean, clean == value.text


def _storable(escape: re.Match[str]) -> str:
    text = escape[0]
    return text if len(text) in (2, _SURROGATE_PAIR) else REPLACEMENT


def _number(value: Any) -> Decimal | None:
    if isinstance(value, int | float | Sent) and not isinstance(value, bool):
        return number_of(value)
    return None


_CONVERT = {
    Kind.BOOLEAN: _boolean,
    Kind.INT64: _integer,
    Kind.DECIMAL: _decimal,
    Kind.FLOAT64: _float,
    Kind.TIMESTAMP: _string,
    Kind.DATE: _string,
    Kind.TIME: _time,
    Kind.TEXT: _text,
    Kind.JSON: _json,
    Kind.BYTES: _bytes,
}
