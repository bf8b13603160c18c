"""Columns of scalars, decoded by Polars. ``unnest.py`` reads the records that Polars cannot decode."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from bizon.destination.column_types import CALENDAR, ColumnType, Kind
from bizon.destination.columns import frame_type
from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED

Types = Mapping[str, ColumnType]
DECODED = CALENDAR | {Kind.BOOLEAN, Kind.INT64, Kind.FLOAT64, Kind.TEXT}
"""The kinds that Polars decodes. It keeps neither the numbers nor the order of the keys of JSON."""
_OFFSET = r"T.*([+-]\d\d:?\d\d)$"
_IN_PLACE_OF_A_SURROGATE = "\0"  # the reader writes it for half a pair; nothing else does without an escape
_NOT_AS_SENT = rf"{PERHAPS_NOT_REPRODUCED}|[:,\[]\s*-?\d+\.0[,\]}}\s]"


def schema_of(types: Types) -> pl.Schema:
    """The columns of a frame."""
    return pl.Schema({name: frame_type(kind) for name, kind in types.items()})


def need_care(texts: pl.Series) -> pl.Series:
    """Whether a text may have a number that only careful decoding keeps as it was sent."""
    return texts.str.contains(PERHAPS_NOT_REPRODUCED)


def decode(texts: pl.Series, types: Types) -> pl.DataFrame | None:
    """Typed columns of records; None when a record cannot be parsed, or a value does not fit its type."""
    if not types or not texts.len():
        return pl.DataFrame(schema=schema_of(types))
    if texts.str.contains("\n", literal=True).any():
        return None  # not one line per record
    read = {name: _at_first(kind) for name, kind in types.items()}
    try:
        raw = pl.read_ndjson(str(texts.str.join("\n")[0]).encode(), schema=read)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if raw.height != texts.len():
        return None
    decoded, misfits = _parsed(raw, types)
    return None if misfits else decoded


def of_values(values: Mapping[str, Sequence[Any]], types: Types) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """The same columns from values that fit their types; dates and moments are still text. Also returns row and column
    of each text that is neither, and is null."""
    read = pl.DataFrame(values, schema={name: _at_first(kind) for name, kind in types.items()})
    return _parsed(read, types)


def _at_first(kind: ColumnType) -> pl.DataType:
    return pl.String() if kind.kind in CALENDAR else frame_type(kind)


def _parsed(read: pl.DataFrame, types: Types) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """The columns, with dates and moments read from text; row and column of each text that is neither."""
    names = [name for name, kind in types.items() if kind.kind in CALENDAR]
    found = read.with_columns(_moment(pl.col(name), types[name]).alias(name) for name in names)
    lost = [name for name in names if found[name].null_count() > read[name].null_count()]
    rows = ((found[name].is_null() & read[name].is_not_null()).arg_true() for name in lost)
    return found, [(row, name) for name, some in zip(lost, rows, strict=True) for row in some]


def perhaps_not_as_sent(decoded: pl.DataFrame, texts: pl.Series, types: Types) -> list[int]:
    """Rows whose text columns may differ from what was sent.

    The reader formats numbers and nested values in its own way, and replaces half a surrogate pair by another
    character. The columns are checked first: most hold nothing that looks like a number.
    """
    names = [name for name, kind in types.items() if kind.kind is Kind.TEXT]
    if not names:
        return []
    seen = decoded.select(
        other=_any_of(names, lambda text: text.str.starts_with("[") | text.str.starts_with("{"))
        | _any_of(names, lambda text: text.str.contains(_IN_PLACE_OF_A_SURROGATE, literal=True)),
        number=_any_of(names, lambda text: text.cast(pl.Float64, strict=False).is_not_null()),
    )
    rows = set(seen["other"].arg_true())
    numbers = seen["number"].arg_true()
    if numbers.len():
        rows.update(numbers.filter(texts.gather(numbers).str.contains(_NOT_AS_SENT)))
    return sorted(rows)


def with_rows(frame: pl.DataFrame, rows: list[int], others: pl.DataFrame) -> pl.DataFrame:
    """The frame, with the rows of these numbers replaced by ``others``."""
    order = pl.Series(range(frame.height), dtype=pl.UInt32).scatter(rows, range(frame.height, frame.height + len(rows)))
    return pl.concat([frame, others]).select(pl.all().gather(order))


def _any_of(names: Sequence[str], test: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([test(pl.col(name)).fill_null(False) for name in names])


def _moment(text: pl.Expr, kind: ColumnType) -> pl.Expr:
    day = text.str.to_date("%Y-%m-%d", strict=False)
    if kind.kind is Kind.DATE:
        return day
    normal = text.str.replace(" ", "T", literal=True).str.replace("[Zz]$", "+00:00")
    moment = pl.when(normal.str.contains(_OFFSET)).then(normal).otherwise(normal + "+00:00")
    parsed = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(parsed, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
