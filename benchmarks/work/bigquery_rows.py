"""Prepares rows for BigQuery, without BigQuery, and prints the processor seconds.

``bigquery_rows.py WHAT TOTAL``. WHAT: ``requests`` (messages packed for Storage Write), to compare with ``messages`` (a
loop that serialises them), or ``objects`` (content for the bucket), to compare with ``parquet`` (``write_parquet`` of
the same columns). The rows come in frames of 50,000, as from a buffer.
"""

import io
import sys
import time
from collections.abc import Callable, Iterator

import orjson
import polars as pl
from bench_records import record
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.content import Content
from bizon.connectors.destinations.bigquery.src.schema import NAMES, record_schema
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import BATCH, Messages
from bizon.connectors.destinations.bigquery_streaming_v2.src.writer import packed
from bizon.rows.frames import DESTINATION_SCHEMA

_ROWS = 50_000  # of a frame
_REQUEST = 9_000_000  # bytes
_MOMENT = 1_767_225_600_000_000  # microseconds


def frames(total: int) -> Iterator[pl.DataFrame]:
    for first in range(0, total, _ROWS):
        numbers = range(first, min(first + _ROWS, total))
        ids = [f"{number:032x}" for number in numbers]
        moments = pl.Series([_MOMENT + number for number in numbers], dtype=pl.Int64)
        data = [orjson.dumps(record(number)).decode() for number in numbers]
        columns = {
            "bizon_id": ids,
            "source_record_id": [str(number) for number in numbers],
            "source_timestamp": moments,
            "source_data": data,
            "bizon_extracted_at": moments,
            "bizon_loaded_at": moments,
        }
        frame = pl.DataFrame({name: columns[name] for name in DESTINATION_SCHEMA})
        yield frame.cast({name: DESTINATION_SCHEMA[name] for name in DESTINATION_SCHEMA})


def ready_requests(frame: pl.DataFrame) -> Callable[[], object]:
    return lambda: packed(MESSAGES.encode(frame, MARK), _REQUEST)


def ready_messages(frame: pl.DataFrame) -> Callable[[], object]:
    numbers = frame.with_columns(pl.col(pl.Datetime).dt.epoch("us"))
    rows = [{**row, BATCH: MARK} for row in numbers.rename(NAMES).iter_rows(named=True)]
    message = MESSAGES.message
    return lambda: [message(**row).SerializeToString() for row in rows]


def ready_objects(frame: pl.DataFrame) -> Callable[[], object]:
    return lambda: CONTENT.encode(frame)


def ready_parquet(frame: pl.DataFrame) -> Callable[[], object]:
    return lambda: frame.write_parquet(io.BytesIO())


MARK = "1-1-0-49"
MESSAGES = Messages([*record_schema("JSON", "REQUIRED"), SchemaField(BATCH, "STRING")], None)
CONTENT = Content(None, record_schema("STRING", "NULLABLE"))
WORKS = {
    "requests": ready_requests,
    "messages": ready_messages,
    "objects": ready_objects,
    "parquet": ready_parquet,
}

spent = 0.0
ready = WORKS[sys.argv[1]]
for each in frames(int(sys.argv[2])):
    work = ready(each)
    begun = time.process_time()
    work()
    spent += time.process_time() - begun
print(spent)
