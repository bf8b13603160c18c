"""From rows to the JSON of insertAll, and from rows to requests."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.declared_columns import unnester
from bizon.connectors.destinations.bigquery.src.json_rows import json_row
from bizon.connectors.destinations.bigquery.src.schema import MOMENTS, six_columns

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig

REQUEST_BYTES = 5_000_000  # of one request; BigQuery takes 10 MB
ROW_BYTES = 900_000  # of one row; BigQuery takes 1 MB
_AROUND = 40  # bytes around a row in a request, without its id


class Row(NamedTuple):
    """A row as insertAll takes it. ``position``: its position in the frame. ``size``: bytes."""

    position: int
    id: str
    json: dict[str, Any]
    size: int


class InsertRows:
    """Builds rows of one table with the columns ``fields``. ``schema``: the declared columns of an unnested table."""

    def __init__(self, schema: "BigQueryRecordSchemaConfig | None", fields: Sequence[SchemaField]) -> None:
        self._fields = fields
        self._unnester = None if schema is None else unnester(schema)

    def build(self, frame: pl.DataFrame) -> list[Row]:
        """The rows of a destination frame. Raises RowsRejectedError for records that do not fit their columns."""
        values = _plain(frame, self._fields) if self._unnester is None else map(json_row, self._unnester.rows(frame))
        pairs = enumerate(zip(frame["bizon_id"], values, strict=True))
        return [Row(position, id_, row, len(orjson.dumps(row))) for position, (id_, row) in pairs]


def packed(rows: Sequence[Row], most_rows: int) -> Iterator[list[Row]]:
    """Requests: rows in order, as many as fit. Rows that are too large for any request are skipped."""
    request: list[Row] = []
    size = 0
    for row in rows:
        if row.size > ROW_BYTES:
            continue
        taken = row.size + len(row.id) + _AROUND
        if request and (len(request) == most_rows or size + taken > REQUEST_BYTES):
            yield request
            request, size = [], 0
        request.append(row)
        size += taken
    if request:
        yield request


def _plain(frame: pl.DataFrame, fields: Sequence[SchemaField]) -> Iterator[dict[str, Any]]:
    texts = frame.with_columns(pl.col(MOMENTS).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    return six_columns(texts, fields).iter_rows(named=True)
