"""A digest of the values of a batch, taken when it is written and compared with what the table holds. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

import polars as pl

_NUMBERS = (pl.Int64, pl.Decimal)
_END_OF_FRACTION = r"\.0+$|(\.\d*?[1-9])0+$"


class Digest(NamedTuple):
    """``values``: equal for equal rows, in any order; columns that have only nulls do not count, nor does the type of
    a column of numbers. ``made_by``: digests of other releases cannot be compared."""

    values: str
    made_by: str

    @classmethod
    def of_rows(cls, frame: pl.DataFrame) -> "Digest":
        """The digest of the rows of a frame."""
        row = pl.lit(0, dtype=pl.UInt64)
        for name, series in zip(frame.columns, frame.iter_columns(), strict=True):
            if series.null_count() < series.len():
                value = _canonical(pl.col(name), series.dtype)
                hashed = value.hash(crc32(name.encode()))
                row = row + pl.when(pl.col(name).is_null()).then(pl.lit(0, dtype=pl.UInt64)).otherwise(hashed)
        total = frame.select(row.alias("row")).to_series().hash(1).sum() if frame.height else 0
        return cls(f"{total % 2**64:016x}", f"polars {pl.__version__}")

    @classmethod
    def received(cls, receipt: Mapping[str, Any]) -> "Digest | None":
        """The digest in a receipt; None when it has none."""
        found = receipt.get("digest")
        return cls(*found) if found else None


def _canonical(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind in _NUMBERS:
        return value.cast(pl.String).str.replace(_END_OF_FRACTION, "$1")
    if kind == pl.Float64:
        return value.cast(pl.String)
    if isinstance(kind, pl.Datetime | pl.Date | pl.Time):
        return value.to_physical()
    return value
