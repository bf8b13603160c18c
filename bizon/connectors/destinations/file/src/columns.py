"""Columns of Parquet files that are merged: shared columns get one type that changes no value."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bizon.common.errors.errors import DestinationError

_WIDEST_INTEGER, _WIDEST_FLOAT = pl.Int64(), pl.Float64()
Schema = dict[str, pl.DataType]


def aligned(paths: Sequence[Path]) -> list[pl.LazyFrame]:
    """The rows of each file, with one type per shared column. Raises DestinationError where no such type exists."""
    frames = [pl.scan_parquet(path, glob=False) for path in paths]
    schemas = [_schema(frame, path) for frame, path in zip(frames, paths, strict=True)]
    wanted = schemas[0]
    for path, schema in zip(paths, schemas, strict=True):
        wanted = _agreed(wanted, schema, path)
    return [_widened(frame, schema, wanted, path) for frame, schema, path in zip(frames, schemas, paths, strict=True)]


def check_columns(main: Path, wanted: pl.Schema) -> None:
    """Raise DestinationError when rows of the columns ``wanted`` cannot be appended to a Parquet file."""
    frame = pl.scan_parquet(main, glob=False)
    schema = _schema(frame, main)
    _widened(frame, schema, _agreed(schema, dict(wanted), main), main)


def has_rows(main: Path) -> bool:
    """Whether a published file exists and holds rows; a file that is not Parquet does unless it is empty."""
    if not main.is_file() or not main.stat().st_size:
        return False
    if main.suffix != ".parquet":
        return True
    try:
        return bool(pl.scan_parquet(main, glob=False).select(pl.len()).collect().item())
    except pl.exceptions.PolarsError:
        return True  # it is not empty: publishing will say what is wrong


def _schema(frame: pl.LazyFrame, path: Path) -> Schema:
    try:
        return dict(frame.collect_schema())
    except pl.exceptions.PolarsError:
        raise DestinationError(
            f"'{path}' is not a Parquet file: move it away, write to another destination_id, or run with --fresh to "
            f"load everything again"
        ) from None


def _agreed(left: Schema, right: Schema, path: Path) -> Schema:
    types = dict(left)
    for name, dtype in right.items():
        types[name] = _common(name, types.get(name, dtype), dtype, path)
    return types


def _common(column: str, left: pl.DataType, right: pl.DataType, path: Path) -> pl.DataType:
    if left == right or right == pl.Null:
        return left
    if left == pl.Null:
        return right
    if left.is_integer() and right.is_integer() and pl.UInt64 not in (left, right):
        return _WIDEST_INTEGER
    if left.is_numeric() and right.is_numeric() and not (left.is_decimal() or right.is_decimal()):
        return _WIDEST_FLOAT
    raise _misfit(column, path, f"{left} and {right} have no type in common")


def _widened(frame: pl.LazyFrame, schema: Schema, wanted: Schema, path: Path) -> pl.LazyFrame:
    """The frame with its columns cast; every value stays equal."""
    changed = {name: wanted[name] for name, dtype in schema.items() if dtype != wanted[name]}
    exact = [name for name, dtype in changed.items() if schema[name].is_integer() and dtype == pl.Float64]
    if exact:
        same = frame.select(
            (pl.col(name).cast(pl.Float64).cast(pl.Int128) == pl.col(name).cast(pl.Int128)).all().alias(name)
            for name in exact
        )
        for name, (is_exact,) in same.collect().to_dict(as_series=False).items():
            if not is_exact:
                raise _misfit(name, path, "it has integers that no floating-point number is equal to")
    return frame.with_columns(pl.col(name).cast(dtype) for name, dtype in changed.items())


def _misfit(column: str, path: Path, why: str) -> DestinationError:
    return DestinationError(
        f"column '{column}' of '{path}': {why}; undo the change of its type, write to another destination_id, or load "
        f"everything again: `bizon stream reset`, then run"
    )
