"""From rows of inferred columns to protocol buffers."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.typed_values import as_wire
from bizon.connectors.destinations.bigquery_streaming_v2.src.descriptors import ROOT, class_of, row_type

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows


class TypedMessages:
    """Encodes rows of inferred columns. ``fields``: the columns of the messages. ``mark``: the column in which each row
    of staging carries its batch, None where there is none."""

    def __init__(self, fields: Sequence[SchemaField], mark: str | None = None) -> None:
        self._mark = mark
        self.descriptor = row_type(ROOT, fields)
        self.message: Callable[..., Any] = class_of(self.descriptor)
        self.fields = list(fields)

    def encode(self, rows: "TypedRows", batch: str | None) -> Iterator[bytes]:
        """The rows in order."""
        message = self.message
        numbers = as_wire(rows)
        if self._mark is not None:
            numbers = numbers.with_columns(pl.lit(batch).alias(self._mark))
        for row in numbers.iter_rows(named=True):
            yield message(**row).SerializeToString()
