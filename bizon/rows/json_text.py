"""The rows of a Polars frame as JSON text, by the same rules at every depth: in structs, lists, arrays and lists of
structs.

A moment becomes RFC 3339 text; a naive one counts as UTC. A decimal, a duration, a time and a category become text, NaN
and infinities null. Polars does most of this itself. This module handles the types that Polars writes in another form,
or on which it panics.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import polars as pl

from bizon.rows.frames import UTC_MICROSECONDS

_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_LAST_SECOND = (
    8_200_000_000_000  # before and after 1970: to about the year 261,800, close to the end of Polars' calendar
)
_LAST_DAY = _LAST_SECOND // 86_400
_LONGEST = 2**62  # duration, in its own unit
_YEAR_1, _YEAR_10_000 = -62_135_596_800, 253_402_300_800  # seconds; Python knows the moments between them

Rule = Callable[[pl.Expr], pl.Expr]
"""A conversion, or a test, of the values of a column."""


def column_without_json(frame: pl.DataFrame) -> tuple[str, str] | None:
    """Path and type of the first column or field whose type has no JSON form, as ``a.b`` or ``a[]``, or None."""
    found = (_path_without_json(name, dtype) for name, dtype in frame.schema.items())
    return next((each for each in found if each is not None), None)


def rows_as_json(frame: pl.DataFrame) -> tuple[pl.Series, dict[int, str]]:
    """Each row as JSON text. Also returns the rows with a moment beyond Polars' calendar, which becomes null, and its
    column. All types of the frame must have a JSON form.
    """
    faults = _rows_beyond(frame)
    convert = partial(_readable, cut=bool(faults))
    rules = {name: at_leaves(dtype, convert) for name, dtype in frame.schema.items()}
    columns = [pl.col(name) if rule is None else rule(pl.col(name)).alias(name) for name, rule in rules.items()]
    return frame.select(pl.struct(columns).struct.json_encode()).to_series(), faults


def moments_in_utc(moments: pl.Series) -> tuple[pl.Series, list[int]]:
    """A Datetime column as source frames have it. Also returns the rows whose moment is outside the years 1 to 9999,
    which becomes null. Naive moments count as UTC."""
    unit = _PER_SECOND[getattr(moments.dtype, "time_unit", "us")]
    first, last = max(_YEAR_1 * unit, -(2**63)), min(_YEAR_10_000 * unit - 1, 2**63 - 1)  # all nanoseconds are inside
    ticks = moments.to_physical()
    lowest, highest = ticks.min(), ticks.max()
    naive = getattr(moments.dtype, "time_zone", None) is None
    wrong: list[int] = []
    if isinstance(lowest, int) and isinstance(highest, int) and not first <= lowest <= highest <= last:
        known = ticks.is_between(first, last)
        wrong = (~known).arg_true().to_list()
        moments = moments.to_frame("at").select(pl.when(known).then(pl.col("at"))).to_series()
    return (moments.dt.replace_time_zone("UTC") if naive else moments).cast(UTC_MICROSECONDS), wrong


def _rows_beyond(frame: pl.DataFrame) -> dict[int, str]:
    rules = {name: _beyond(dtype) for name, dtype in frame.schema.items()}
    tests = {
        name: rule(pl.col(name)).fill_null(False)
        for name, rule in rules.items()
        if rule is not None and not _is_inside(frame[name])
    }
    faults: dict[int, str] = {}
    for name, test in tests.items():
        faults.update((row, name) for row in frame.select(test).to_series().arg_true() if row not in faults)
    return faults


def _is_inside(moments: pl.Series) -> bool:
    """Whether the smallest and the largest value of a column are within the calendar; False for a nested column."""
    limit = _limit(moments.dtype)
    if limit is None:
        return False
    ticks = moments.to_physical()
    lowest, highest = ticks.min(), ticks.max()
    return not (isinstance(lowest, int) and isinstance(highest, int)) or -limit <= lowest <= highest <= limit


def _path_without_json(path: str, dtype: pl.DataType) -> tuple[str, str] | None:
    if isinstance(dtype, pl.Struct):
        found = (_path_without_json(f"{path}.{field.name}", _type(field.dtype)) for field in dtype.fields)
        return next((each for each in found if each is not None), None)
    if isinstance(dtype, pl.List | pl.Array):
        return _path_without_json(f"{path}[]", _type(dtype.inner))
    return (path, str(dtype).lower()) if isinstance(dtype, pl.Binary | pl.Object | pl.Unknown) else None


def at_leaves(dtype: pl.DataType, conversion: Callable[[pl.DataType], Rule | None]) -> Rule | None:
    """The conversion of values of a type that converts what is inside of its structs, lists and arrays, at any depth.
    ``conversion``: of a type without an inside; None when it needs none. None when nothing inside needs one."""
    if isinstance(dtype, pl.Struct):
        rules = {field.name: at_leaves(_type(field.dtype), conversion) for field in dtype.fields}
        return _per_field(rules) if any(rules.values()) else None
    if isinstance(dtype, pl.List | pl.Array):
        inner = at_leaves(_type(dtype.inner), conversion)
        return None if inner is None else _per_item(inner, dtype)
    return conversion(dtype)


def _readable(dtype: pl.DataType, cut: bool) -> Rule | None:
    """The conversion that makes Polars write values of a type without an inside by the rules; None when none is needed.
    ``cut``: moments beyond the calendar become null."""
    zoned = _in_utc if isinstance(dtype, pl.Datetime) and dtype.time_zone is None else None
    beyond = _beyond(dtype) if cut else None
    if beyond is None:
        return zoned
    named = zoned or _unchanged
    return lambda value: named(pl.when(~beyond(value)).then(value))


def _in_utc(value: pl.Expr) -> pl.Expr:
    return value.dt.replace_time_zone("UTC")


def _unchanged(value: pl.Expr) -> pl.Expr:
    return value


def _per_field(rules: Mapping[str, Rule | None]) -> Rule:
    def rule(value: pl.Expr) -> pl.Expr:
        fields = [
            (value.struct.field(name) if inner is None else inner(value.struct.field(name))).alias(name)
            for name, inner in rules.items()
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))

    return rule


def _per_item(inner: Rule, dtype: pl.List | pl.Array) -> Rule:
    return lambda value: _as_list(value, dtype).list.eval(inner(pl.element()))


def _beyond(dtype: pl.DataType) -> Rule | None:
    """Tells whether a value of this type holds a moment beyond the calendar, at any depth; None when it cannot."""
    if isinstance(dtype, pl.Struct):
        rules = {field.name: _beyond(_type(field.dtype)) for field in dtype.fields}
        known = {name: rule for name, rule in rules.items() if rule is not None}
        return _any_field(known) if known else None
    if isinstance(dtype, pl.List | pl.Array):
        inner = _beyond(_type(dtype.inner))
        return None if inner is None else _any_item(inner, dtype)
    limit = _limit(dtype)
    return None if limit is None else lambda value: ~value.to_physical().is_between(-limit, limit)


def _limit(dtype: pl.DataType) -> int | None:
    """The greatest distance from 1970 of a value of this type, in its own unit; None without such a limit."""
    if isinstance(dtype, pl.Datetime) and dtype.time_unit != "ns":
        return _LAST_SECOND * _PER_SECOND[dtype.time_unit]
    if isinstance(dtype, pl.Date):
        return _LAST_DAY
    return _LONGEST if isinstance(dtype, pl.Duration) else None


def _any_field(rules: Mapping[str, Rule]) -> Rule:
    return lambda value: pl.any_horizontal(
        [rule(value.struct.field(name)).fill_null(False) for name, rule in rules.items()]
    )


def _any_item(inner: Rule, dtype: pl.List | pl.Array) -> Rule:
    return lambda value: _per_item(inner, dtype)(value).list.any()


def _as_list(value: pl.Expr, dtype: pl.List | pl.Array) -> pl.Expr:
    return value.arr.to_list() if isinstance(dtype, pl.Array) else value


def _type(dtype: Any) -> pl.DataType:
    """An instance of the type; Polars sometimes returns the class."""
    instance: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return instance
