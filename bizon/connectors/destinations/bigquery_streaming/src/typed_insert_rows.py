"""From rows of inferred columns to the JSON of insertAll."""

from typing import TYPE_CHECKING

import orjson
import polars as pl

from bizon.connectors.destinations.bigquery.src.typed_values import as_text
from bizon.connectors.destinations.bigquery_streaming.src.insert_rows import Row

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows


def typed_rows(typed: "TypedRows", frame: pl.DataFrame) -> list[Row]:
    """The rows of a destination frame, some rows of the batch ``typed``."""
    values = as_text(typed.limited_to(frame)).iter_rows(named=True)
    rows = ({name: value for name, value in row.items() if value is not None} for row in values)
    pairs = enumerate(zip(frame["bizon_id"], rows, strict=True))
    return [Row(position, id_, row, len(orjson.dumps(row))) for position, (id_, row) in pairs]
