"""Rows in the format of a file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from bizon.connectors.destinations.file.src.config import FileFormat, path_stem
from bizon.connectors.destinations.file.src.unnest import MisfitError, Unnester
from bizon.rows.frames import DESTINATION_SCHEMA, frame_bytes

if TYPE_CHECKING:
    from bizon.destination.config import RecordSchemaConfig

_BYTES_AT_ONCE = 3_000_000  # rendered in memory at once; more than this falls out of the processor's cache
RFC_3339 = "%Y-%m-%dT%H:%M:%S%.6f+00:00"


def write_rows(frame: pl.DataFrame, format: FileFormat, target: BinaryIO) -> None:
    """Write a frame. NDJSON: timestamps are RFC 3339 text in UTC with microseconds. Parquet: zstd, native types."""
    if format is FileFormat.PARQUET:
        frame.write_parquet(target, compression="zstd")
    elif frame.height:
        stamps = [name for name, dtype in frame.schema.items() if dtype == pl.Datetime]
        rows = frame.with_columns(**{name: _as_text(pl.col(name)) for name in stamps})
        for some in rows.iter_slices(1 + rows.height * _BYTES_AT_ONCE // max(1, frame_bytes(rows))):
            some.write_ndjson(target)


def _as_text(moments: pl.Expr) -> pl.Expr:
    """Formatted once per run of equal values: all rows of a page tend to have the same."""
    return moments.rle().struct.field("value").dt.strftime(RFC_3339).gather(moments.rle_id())


class RowShape:
    """The columns of each file: the six of the destination frame, or the declared ones."""

    def __init__(self, format: FileFormat, schemas: Sequence["RecordSchemaConfig"] | None) -> None:
        self._format = format
        self._unnesters = (
            None
            if schemas is None
            else {path_stem(schema.destination_id, format): Unnester(schema) for schema in schemas}
        )

    def shape(self, destination_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows to write for rows of the destination frame. Raises MisfitError and RowsRejectedError."""
        if self._unnesters is None:
            return frame
        return self.unnester(destination_id).apply(frame)

    def empty(self, destination_id: str) -> pl.DataFrame:
        """No rows, with the columns of the file. Raises MisfitError."""
        schema = DESTINATION_SCHEMA if self._unnesters is None else self.unnester(destination_id).schema
        return pl.DataFrame(schema=schema)

    def unnester(self, destination_id: str) -> Unnester:
        """The unnester of a file. Raises MisfitError when `record_schemas` does not know it."""
        known = self._unnesters or {}
        found = known.get(path_stem(destination_id, self._format))
        if found is None:
            raise MisfitError(
                f"`record_schemas` has no entry for destination_id '{destination_id}', it has: {', '.join(known)}"
            )
        return found
