"""From rows to protocol buffers: a message type per table, built from its schema, and the bytes of each row."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.common.clock import microseconds
from bizon.connectors.destinations.bigquery.src.declared_columns import unnester
from bizon.connectors.destinations.bigquery.src.schema import MOMENTS, six_columns
from bizon.connectors.destinations.bigquery_streaming_v2.src.descriptors import ROOT, class_of, row_type

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig

BATCH = "_bizon_batch"
"""Column of staging tables: the batch that a row came with."""
_FIRST_DAY = date(1970, 1, 1)


class Messages:
    """Encodes rows of one table. ``record``: the declared columns of an unnested table. ``fields``: the columns of the
    messages; with ``BATCH`` among them, each row carries its batch."""

    def __init__(self, fields: Sequence[SchemaField], record: "BigQueryRecordSchemaConfig | None") -> None:
        self.descriptor = row_type(ROOT, fields)
        self.message: Callable[..., Any] = class_of(self.descriptor)
        self._fields = list(fields)
        self._unnester = None if record is None else unnester(record)

    def encode(self, frame: pl.DataFrame, batch: str | None) -> Iterator[bytes]:
        """The rows of a destination frame in order. Raises RowsRejectedError for records that do not fit their columns,
        before the first row."""
        message = self.message
        rows = (
            _plain(frame, self._fields, batch)
            if self._unnester is None
            else self._of_records(self._unnester.rows(frame), batch)
        )
        for row in rows:
            yield message(**row).SerializeToString()

    def _of_records(self, records: list[dict[str, Any]], batch: str | None) -> Iterator[dict[str, Any]]:
        more = {} if batch is None else {BATCH: batch}
        return (_message_values(record, self._fields) | more for record in records)


def _plain(frame: pl.DataFrame, fields: Sequence[SchemaField], batch: str | None) -> Iterator[dict[str, Any]]:
    numbers = six_columns(frame.with_columns(pl.col(MOMENTS).dt.epoch("us")), fields)
    if batch is not None:
        numbers = numbers.with_columns(pl.lit(batch).alias(BATCH))
    return numbers.iter_rows(named=True)


def _message_values(row: dict[str, Any], fields: Sequence[SchemaField]) -> dict[str, Any]:
    return {
        field.name: _value(row[field.name], field)
        for field in fields
        if field.name in row and row[field.name] is not None
    }


def _value(value: Any, field: SchemaField) -> Any:
    if isinstance(value, list):
        return [_value(item, field) for item in value]
    if isinstance(value, dict):
        return _message_values(value, field.fields)
    if isinstance(value, datetime):
        return microseconds(value) if value.tzinfo is not None else value.isoformat(sep=" ")
    if isinstance(value, date):
        return (value - _FIRST_DAY).days
    if isinstance(value, time):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else value
