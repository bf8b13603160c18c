"""Rows in the format of a file.

CSV is quoted as RFC 4180 says: a value with a comma, a quote or a line break. Nothing between two commas is null, two
quotes are empty text. Lines end with a newline.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
import polars as pl

from bizon.connectors.destinations.file.src.config import FileFormat, path_stem
from bizon.rows.frames import DESTINATION_SCHEMA, frame_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig
    from bizon.connectors.destinations.file.src.typed_shape import TypedShape
    from bizon.destination.config import RecordSchemaConfig
    from bizon.destination.models import BatchRange
    from bizon.destination.readable import TableReader
    from bizon.destination.unnest import Unnester

_BYTES_AT_ONCE = 3_000_000  # rendered in memory at once; more than this falls out of the processor's cache
_ROWS_PER_GROUP = 32_768
_BYTES_PER_GROUP = 4_000_000  # Polars encodes groups in memory as a whole, some at once
RFC_3339 = "%Y-%m-%dT%H:%M:%S%.6f+00:00"


def write_rows(frame: pl.DataFrame, format: FileFormat, target: BinaryIO) -> None:
    """Write a frame. NDJSON and CSV: timestamps are RFC 3339 text in UTC with microseconds, decimals are numbers with
    all digits. Parquet: zstd, native types."""
    if format is FileFormat.PARQUET:
        rows = max(1, min(_ROWS_PER_GROUP, frame.height * _BYTES_PER_GROUP // max(1, frame_bytes(frame))))
        frame.write_parquet(target, compression="zstd", compression_level=1, row_group_size=rows)
        return
    if format is FileFormat.CSV:
        write_csv_rows(frame, target)
        return
    for some in _slices(frame):
        _write_text(some, format, target)


def write_csv_rows(frame: pl.DataFrame, target: BinaryIO, *, header: bool = True) -> None:
    """Write a frame as CSV."""
    if header:
        frame.clear().write_csv(target)
    for some in _slices(frame):
        _write_text(some, FileFormat.CSV, target)


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return frame.iter_slices(1 + frame.height * _BYTES_AT_ONCE // max(1, frame_bytes(frame)))


def _write_text(frame: pl.DataFrame, format: FileFormat, target: BinaryIO) -> None:
    stamps = [name for name, dtype in frame.schema.items() if dtype == pl.Datetime]
    rows = frame.with_columns(**{name: _as_text(pl.col(name)) for name in stamps})
    if format is FileFormat.CSV:
        rows.write_csv(target, include_header=False)
    elif any(dtype == pl.Decimal for dtype in rows.dtypes):
        _json_lines(rows).write_csv(target, include_header=False, quote_style="never")
    elif rows.height:
        rows.write_ndjson(target)


def _json_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """A column with a JSON object per row. Polars itself writes decimals as text."""
    members: list[pl.Expr] = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Decimal:
            number = pl.col(name).cast(pl.String).fill_null("null")
            members.append(pl.concat_str(pl.lit(f"{orjson.dumps(name).decode()}:"), number))
        else:
            members.append(pl.struct(name).struct.json_encode().str.slice(1).str.head(-1))
    return frame.select(line=pl.concat_str(pl.lit("{"), pl.concat_str(members, separator=","), pl.lit("}")))


def _as_text(moments: pl.Expr) -> pl.Expr:
    """Formatted once per run of equal values: all rows of a page tend to have the same."""
    return moments.rle().struct.field("value").dt.strftime(RFC_3339).gather(moments.rle_id())


def typed_shape(config: "FileDestinationDetailsConfig") -> "TypedShape | None":
    """The shape of inferred columns, where there are any; most runs need not load it."""
    if not config.infers:
        return None
    from bizon.connectors.destinations.file.src.typed_shape import TypedShape

    return TypedShape(config)


def declared(schema: "RecordSchemaConfig") -> "Unnester":
    """The declared columns of a file; most runs need not load them."""
    from bizon.connectors.destinations.file.src.declared_columns import unnester

    return unnester(schema)


def reading(main: "Path", format: FileFormat, noted: Mapping[str, str] | None) -> "AbstractContextManager[TableReader]":
    """Within: a file can be read; no run needs what this loads. Raises NoTableError."""
    from bizon.connectors.destinations.file.src.reading import reading

    return reading(main, format.value, noted)


class RowShape:
    """The columns of each file: the six of the destination frame, or the declared ones. ``TypedShape`` has the same
    methods, for inferred columns; here the columns of a file need not be known from run to run."""

    def __init__(self, format: FileFormat, schemas: Sequence["RecordSchemaConfig"] | None) -> None:
        self._format = format
        self._unnesters = (
            None
            if schemas is None
            else {path_stem(schema.destination_id, format): declared(schema) for schema in schemas}
        )

    def shape(self, destination_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows to write for rows of the destination frame. Raises ValueError and RowsRejectedError."""
        if self._unnesters is None:
            return frame
        return self.unnester(destination_id).frame(frame)

    def empty(self, destination_id: str) -> pl.DataFrame:
        """No rows, with the columns of the file. Raises ValueError."""
        schema = DESTINATION_SCHEMA if self._unnesters is None else self.unnester(destination_id).schema
        return pl.DataFrame(schema=schema)

    def begin_batch(self, batch: "BatchRange") -> None:
        """The next rows are from these pages."""

    def receipt(self, destination_id: str) -> Mapping[str, Any]:
        """The columns that the last batch has changed, for its receipt."""
        return {}

    def noted(self, destination_id: str) -> dict[str, str] | None:
        """The declared columns of a file, for its manifest: a later run may infer others."""
        if self._unnesters is None:
            return None
        return {name: str(kind) for name, kind in self.unnester(destination_id).types.items()}

    def unnester(self, destination_id: str) -> "Unnester":
        """The unnester of a file. Raises ValueError when `record_schemas` does not know it."""
        known = self._unnesters or {}
        found = known.get(path_stem(destination_id, self._format))
        if found is None:
            raise ValueError(
                f"`record_schemas` has no entry for destination_id '{destination_id}', it has: {', '.join(known)}"
            )
        return found
