"""The columns of bizon in typed tables, next to the columns of the records. Pure."""

from typing import TYPE_CHECKING

import orjson
import polars as pl

from bizon.destination.column_types import BOOLEAN, INT64, TEXT, TIMESTAMP, ColumnType
from bizon.destination.typed import RESCUED

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = "_bizon_id"
RECORD_ID = "_source_record_id"
DELETED = "_bizon_deleted"
"""Whether the source marks the record as deleted."""
REMOVED_AT = "_bizon_removed_at"
"""In tables of tombstones: when a merge removed the row."""
PAGE = "_bizon_page"
"""In staging tables: the last page of the batch."""
ROW = "_bizon_row"
"""In staging tables whose rows are merged: the position of the row in its batch."""
SYSTEM_COLUMNS: "Mapping[str, ColumnType]" = {
    ID: TEXT,
    "_bizon_extracted_at": TIMESTAMP,
    "_bizon_loaded_at": TIMESTAMP,
    RECORD_ID: TEXT,
    "_source_timestamp": TIMESTAMP,
    RESCUED: TEXT,  # JSON types refuse half a surrogate pair: DuckDB when it is written, Postgres when it is read
}
MARKS: "Mapping[str, ColumnType]" = {PAGE: INT64, ROW: INT64, DELETED: BOOLEAN}
"""Columns that a staging table may have, too."""
_FROM = {
    ID: "bizon_id",
    "_bizon_extracted_at": "bizon_extracted_at",
    "_bizon_loaded_at": "bizon_loaded_at",
    RECORD_ID: "source_record_id",
    "_source_timestamp": "source_timestamp",
}
_NOT_DELETED = ("", "none", "null", "false", "0", "0.0")


def with_system_columns(rows: pl.DataFrame, typed: pl.DataFrame) -> pl.DataFrame:
    """The rows of a batch as their table has them. ``rows``: as the destination receives them. ``typed``: their columns
    and ``_bizon_rescued``."""
    system = [rows[source].alias(name) for name, source in _FROM.items()]
    return pl.DataFrame([*system, typed[RESCUED], *typed.drop(RESCUED).get_columns()])


def deletions(texts: pl.Series, field: str) -> pl.Series:
    """For each JSON object, whether ``field`` marks its record as deleted: any value but null, false, 0 and their
    text."""
    values = [orjson.loads(text).get(field) for text in texts]
    return pl.Series(DELETED, [str(value).lower() not in _NOT_DELETED for value in values], dtype=pl.Boolean)
