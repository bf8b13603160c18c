"""Columns of the files that are merged: shared columns get one type that changes no value."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.csv_output import has_lines, header_of
from bizon.destination.column_types import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT64,
    INT64,
    INT64_DIGITS,
    TEXT,
    TIME,
    TIMESTAMP,
    WIDEST_DECIMAL,
    ColumnType,
    column_type,
    decimal,
)
from bizon.destination.columns import frame_type

_WIDEST_INTEGER, _WIDEST_FLOAT = pl.Int64(), pl.Float64()
Schema = dict[str, pl.DataType]
_KINDS: dict[pl.DataType, ColumnType] = {
    frame_type(kind): kind for kind in (BOOLEAN, INT64, FLOAT64, DATE, TIME, TIMESTAMP, BYTES, TEXT)
}


def aligned(paths: Sequence[Path]) -> list[pl.LazyFrame]:
    """The rows of each file, with one type per shared column. Raises DestinationError where no such type exists; it
    names the first file, the published one: staged files agree with each other."""
    frames = [pl.scan_parquet(path, glob=False) for path in paths]
    schemas = [_schema(frame, path) for frame, path in zip(frames, paths, strict=True)]
    wanted = schemas[0]
    for schema in schemas:
        wanted = _agreed(wanted, schema, paths[0])
    return [_widened(frame, schema, wanted, path) for frame, schema, path in zip(frames, schemas, paths, strict=True)]


def check_columns(main: Path, wanted: pl.Schema) -> None:
    """Raise DestinationError when rows of the columns ``wanted`` cannot be appended to a file with rows."""
    if main.suffix == ".csv":
        header_of(main)
    if main.suffix != ".parquet":
        return
    frame = pl.scan_parquet(main, glob=False)
    schema = _schema(frame, main)
    _widened(frame, schema, _agreed(schema, dict(wanted), main), main)


def columns_there(main: Path | None, noted: Mapping[str, str] | None) -> dict[str, ColumnType | None]:
    """The columns of an output, in order. ``main``: None when it is a folder, or when only ``noted`` counts. ``noted``:
    its columns when it was published; the types of those that are still there count, since text and JSON are the same
    in the file. None: a type that no inferred column has."""
    kinds = {name: column_type(kind) for name, kind in (noted or {}).items()}
    if main is None or not main.is_file() or not main.stat().st_size:
        return {**kinds}
    if main.suffix == ".csv":
        return {name: kinds.get(name, TEXT) for name in header_of(main)}
    if main.suffix != ".parquet":
        return {**kinds}
    there: dict[str, ColumnType | None] = {}
    for name, dtype in _schema(pl.scan_parquet(main, glob=False), main).items():
        known = kinds.get(name)
        if dtype != pl.Null:
            there[name] = known if known is not None and frame_type(known) == dtype else _kind(dtype)
    return there


def columns_replaced(main: Path, noted: Mapping[str, str] | None) -> dict[str, ColumnType | None]:
    """The columns that a file keeps when its rows are replaced: those that it has, so that a column which somebody has
    dropped or changed is as they have left it. None where bizon has noted none: it had other columns then. A file that
    cannot be read is replaced all the same."""
    if not noted:
        return {}
    try:
        there = columns_there(main, noted)
    except DestinationError:
        there = columns_there(None, noted)
    return {name: kind for name, kind in there.items() if kind is not None}


def has_rows(main: Path) -> bool:
    """Whether a published file exists and holds rows; a file of lines does unless it is empty, or is only a header."""
    if not main.is_file() or not main.stat().st_size:
        return False
    if main.suffix == ".csv":
        return has_lines(main)
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
    exact = _exact(left, right)
    if exact is not None:
        return exact
    if left.is_numeric() and right.is_numeric() and not (left.is_decimal() or right.is_decimal()):
        return _WIDEST_FLOAT
    raise _misfit(column, path, f"{left} and {right} have no type in common")


def _exact(left: pl.DataType, right: pl.DataType) -> pl.DataType | None:
    """The decimal that holds integers and decimals, or two kinds of decimals; None when there is none."""
    sizes = []
    for dtype in (left, right):
        if isinstance(dtype, pl.Decimal):
            sizes.append((dtype.precision - dtype.scale, dtype.scale))
        elif dtype.is_integer():
            sizes.append((INT64_DIGITS + dtype.is_unsigned_integer(), 0))
    is_decimal = left.is_decimal() or right.is_decimal()
    whole, scale = max([size[0] for size in sizes], default=0), max([size[1] for size in sizes], default=0)
    if not is_decimal or len(sizes) < 2 or whole + scale > WIDEST_DECIMAL:
        return None
    return frame_type(decimal(WIDEST_DECIMAL if not scale else whole + scale, scale))


def _kind(dtype: pl.DataType) -> ColumnType | None:
    if dtype.is_integer() and dtype != pl.UInt64:
        return INT64
    if isinstance(dtype, pl.Decimal):
        return decimal(dtype.precision, dtype.scale)
    return FLOAT64 if dtype == pl.Float32 else _KINDS.get(dtype)


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
