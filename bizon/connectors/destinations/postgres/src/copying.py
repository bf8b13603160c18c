"""Frames into and out of Postgres by COPY. The text of a batch is made by columns, not by rows."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl

from bizon.destination.column_types import Kind
from bizon.destination.columns import frame_type

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType

_ROWS_AT_ONCE = 20_000
_RECURRING = 10  # rows per distinct moment, from which it pays to write each one once
_SPECIAL = r"[\x00\\\t\n\r]"
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"}
"""NUL, which no text in Postgres may have, is only in the ids of records: the kit has taken it out of their values."""
_MOMENT = "%Y-%m-%d %H:%M:%S%.6f+00"
_NULL = "\\N"


def copy_text(frame: pl.DataFrame) -> Iterator[bytes]:
    """The rows of a frame as COPY reads them in its text format, some rows at a time. Moments are in UTC."""
    for some in frame.iter_slices(_ROWS_AT_ONCE):
        buffer = BytesIO()
        some.select(_plain(series) for series in some.iter_columns()).write_csv(
            buffer,
            include_header=False,
            separator="\t",
            quote_style="never",
            null_value=_NULL,
            datetime_format=_MOMENT,
            time_format="%H:%M:%S%.6f",
        )
        yield buffer.getvalue()


def _plain(series: pl.Series) -> pl.Series:
    """The column without what has a meaning in the format."""
    if isinstance(series.dtype, pl.Datetime):
        return _moments(series)
    if series.dtype == pl.Binary:
        return pl.select(pl.lit("\\\\x") + series.bin.encode("hex")).to_series().alias(series.name)
    if series.dtype == pl.String and series.str.contains(_SPECIAL).any():
        for character, escape in _ESCAPES.items():
            series = series.str.replace_all(character, escape, literal=True)
    return series


def _moments(series: pl.Series) -> pl.Series:
    """The column, as text when it has few moments: bizon's own columns have the same one in a whole page."""
    distinct = series.unique()
    if distinct.len() * _RECURRING > series.len():
        return series
    return series.replace_strict(distinct, distinct.dt.strftime(_MOMENT), return_dtype=pl.String)


def frame_of(text: bytes, columns: "Mapping[str, ColumnType]") -> pl.DataFrame:
    """The frame of what COPY writes in its CSV format: every value quoted, nulls empty."""
    names = [f"c{number}" for number in range(len(columns))]
    schema = dict.fromkeys(names, pl.String())
    texts = pl.read_csv(text, has_header=False, schema=schema) if text else pl.DataFrame(schema=schema)
    read = [_read(texts[name], kind).alias(column) for name, (column, kind) in zip(names, columns.items(), strict=True)]
    return pl.DataFrame(read)


def _read(texts: pl.Series, column: "ColumnType") -> pl.Series:
    kind, wanted = column.kind, frame_type(column)
    if kind is Kind.BOOLEAN:
        return texts == "t"
    if kind is Kind.TIMESTAMP:
        return texts.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
    if kind is Kind.DATE:
        return texts.str.to_date("%Y-%m-%d")
    if kind is Kind.TIME:
        return texts.str.to_time("%H:%M:%S%.f")
    if kind is Kind.BYTES:
        return texts.str.slice(2).str.decode("hex")
    if wanted.is_decimal():
        return texts.str.to_decimal(scale=column.scale).cast(wanted)
    return texts.cast(wanted)
