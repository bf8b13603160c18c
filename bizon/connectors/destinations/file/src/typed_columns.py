"""Typed columns of records, decoded by Polars. ``unnest.py`` deals with the records that Polars cannot decode."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from bizon.connectors.destinations.file.src.config import ColumnType, declared_type
from bizon.destination.columns import frame_type
from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED

Kinds = Mapping[str, ColumnType]
COLUMN_TYPES: dict[ColumnType, pl.DataType] = {kind: frame_type(declared_type(kind)) for kind in ColumnType}
_READ_AS_TEXT = (ColumnType.DATE, ColumnType.DATETIME)
_OFFSET = r"T.*([+-]\d\d:?\d\d)$"
_IN_PLACE_OF_A_SURROGATE = "\0"  # the reader writes it for half a pair; nothing else does without an escape
_NOT_AS_SENT = rf"{PERHAPS_NOT_REPRODUCED}|[:,\[]\s*-?\d+\.0[,\]}}\s]"


def decode(texts: pl.Series, types: Kinds) -> pl.DataFrame | None:
    """Typed columns of records; None when a record cannot be parsed, or a value does not fit its type."""
    if not types or not texts.len():
        return pl.DataFrame(schema={name: COLUMN_TYPES[kind] for name, kind in types.items()})
    if texts.str.contains("\n", literal=True).any():
        return None  # not one line per record
    read = {name: pl.String() if kind in _READ_AS_TEXT else COLUMN_TYPES[kind] for name, kind in types.items()}
    try:
        raw = pl.read_ndjson(str(texts.str.join("\n")[0]).encode(), schema=read)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if raw.height != texts.len():
        return None
    decoded = raw.with_columns(
        _parsed(pl.col(name), kind).alias(name) for name, kind in types.items() if kind in _READ_AS_TEXT
    )
    return decoded if decoded.null_count().equals(raw.null_count()) else None


def perhaps_not_as_sent(decoded: pl.DataFrame, texts: pl.Series, types: Kinds) -> list[int]:
    """Rows whose text columns may differ from what was sent.

    The reader formats numbers and nested values in its own way, and replaces half a surrogate pair by another
    character. The columns are checked first: most hold nothing that looks like a number.
    """
    names = [name for name, kind in types.items() if kind is ColumnType.STRING]
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


def kind_of(value: Any) -> str:
    """A JSON value in words, without its content."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "an object"
    names = ((str, "a string"), (int, "an integer"), (list, "an array"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")


def _any_of(names: Sequence[str], test: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([test(pl.col(name)).fill_null(False) for name in names])


def _parsed(text: pl.Expr, kind: ColumnType) -> pl.Expr:
    day = text.str.to_date("%Y-%m-%d", strict=False)
    if kind is ColumnType.DATE:
        return day
    normal = text.str.replace(" ", "T", literal=True).str.replace("[Zz]$", "+00:00")
    moment = pl.when(normal.str.contains(_OFFSET)).then(normal).otherwise(normal + "+00:00")
    parsed = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(parsed, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
