"""The two frames: the one in which records travel, and the one that a destination receives.

source frame       id String, data String (JSON text), timestamp Datetime(us, UTC), destination_id String
destination frame  bizon_id String, bizon_extracted_at, bizon_loaded_at Datetime(us, UTC), source_record_id String,
                   source_timestamp Datetime(us, UTC), source_data String (JSON text)

The producer turns records into a source frame once, and they stay columns from there on. Inside the engine the
destination frame carries ``destination_id`` as a seventh column until the loader has routed the rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from bizon.common.clock import as_utc, microseconds, utc_now
from bizon.rows.encoding import encode_data as encode_data  # connectors import it from here
from bizon.rows.encoding import encode_extra, without_surrogates
from bizon.rows.record_faults import record_fault
from bizon.source.models import SourceRecord

if TYPE_CHECKING:
    from polars._typing import ConcatMethod

UTC_MICROSECONDS = pl.Datetime("us", "UTC")

SOURCE_SCHEMA = pl.Schema(
    {"id": pl.String(), "data": pl.String(), "timestamp": UTC_MICROSECONDS, "destination_id": pl.String()}
)
DESTINATION_SCHEMA = pl.Schema(
    {
        "bizon_id": pl.String(),
        "bizon_extracted_at": UTC_MICROSECONDS,
        "bizon_loaded_at": UTC_MICROSECONDS,
        "source_record_id": pl.String(),
        "source_timestamp": UTC_MICROSECONDS,
        "source_data": pl.String(),
    }
)
DESTINATION_COLUMNS = DESTINATION_SCHEMA.names()
_JOB_DIGITS = 16
_TEXTS_AT_ONCE = 512  # their memory is still in the cache of the processor when it is reused for the next ones


class RecordError(ValueError):
    """A record of a page cannot be encoded. The message names the record."""


Substitute = Callable[[Any, int, str], SourceRecord]
"""Takes a record that cannot be encoded, its position in the page and the reason; returns a record to use instead."""


def records_to_frame(
    records: Iterable[SourceRecord], now: datetime, substitute: Substitute | None = None
) -> pl.DataFrame:
    """Source frame of one page; a record without a timestamp gets ``now``.

    Reads each record once, in order. Raises RecordError for a record that cannot be encoded, unless there is a
    ``substitute``, and for a page that is at fault as a whole.
    """
    ids: list[str] = []
    stamps: dict[int, datetime] = {}
    tables: dict[int, str] = {}
    columns: list[pl.Series] = []
    dumps, extra, remaining = orjson.dumps, encode_extra, iter(records)
    while True:
        data: list[bytes] = []
        for record in islice(remaining, _TEXTS_AT_ONCE):
            try:
                data.append(dumps(record.data, extra))
            except Exception:  # noqa: BLE001 - the record needs more than orjson, or is at fault in any way
                record = _encodable(record, len(ids), substitute)
                data.append(encode_data(record.data))
            if record.own_timestamp is not None:
                try:
                    stamps[len(ids)] = as_utc(record.own_timestamp)
                except Exception:  # noqa: BLE001 - the moment is outside the calendar, or its time zone fails
                    record = _encodable(record, len(ids), substitute)
                    data[-1] = encode_data(record.data)
            if record.destination_id is not None:
                tables[len(ids)] = record.destination_id
            ids.append(record.id)
        columns.append(_decoded(data))
        if len(data) < _TEXTS_AT_ONCE:
            break
    texts = pl.concat(columns, rechunk=True)
    return pl.DataFrame([text_series("id", ids), texts, _moments(stamps, now, len(ids)), _tables(tables, len(ids))])


def _encodable(record: SourceRecord, position: int, substitute: Substitute | None) -> SourceRecord:
    """The record; it may come as a dict with its fields. A record at fault is replaced by its substitute."""
    if isinstance(record, dict):
        with suppress(TypeError, ValueError):
            record = SourceRecord.model_validate(record)
    reason = record_fault(record, position)
    if reason is None:
        return record
    if substitute is None:
        raise RecordError(reason) from None
    return substitute(record, position, reason)


def _decoded(data: Sequence[bytes]) -> pl.Series:
    try:
        return pl.Series("data", data, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:  # an orjson.Fragment that is not valid UTF-8
        return pl.Series("data", [text.decode("utf-8", "replace") for text in data], dtype=pl.String)


def _moments(stamps: Mapping[int, datetime], now: datetime, rows: int) -> pl.Series:
    if not stamps:
        return repeated_moment(now, rows).alias("timestamp")
    return pl.Series("timestamp", [stamps.get(row, now) for row in range(rows)], dtype=UTC_MICROSECONDS)


def _tables(tables: Mapping[int, str], rows: int) -> pl.Series:
    if not tables:
        return null_texts(rows).alias("destination_id")
    return text_series("destination_id", [tables.get(row) for row in range(rows)])


def null_texts(rows: int) -> pl.Series:
    """A column of strings with a null in every row."""
    return pl.Series([None], dtype=pl.String).new_from_index(0, rows)


def repeated_moment(moment: datetime, rows: int) -> pl.Series:
    """A column with the same moment in every row."""
    return _from_microseconds([moment]).new_from_index(0, rows)


def _from_microseconds(moments: Sequence[datetime]) -> pl.Series:
    # Polars takes a hundred times as long for a datetime in a list as for the number of its microseconds
    return pl.Series([microseconds(moment) for moment in moments], dtype=pl.Int64).cast(UTC_MICROSECONDS)


def text_series(name: str, texts: Sequence[str | None]) -> pl.Series:
    """A column of strings; a lone surrogate becomes U+FFFD."""
    try:
        return pl.Series(name, texts, dtype=pl.String)
    except UnicodeEncodeError:  # an id or a table name with a lone surrogate
        return pl.Series(name, [None if text is None else without_surrogates(text) for text in texts], dtype=pl.String)


def frame_bytes(frame: pl.DataFrame) -> int:
    """Memory of a frame in bytes, as estimated by Polars."""
    return int(frame.estimated_size())


def empty_source_frame() -> pl.DataFrame:
    """A source frame without rows."""
    return pl.DataFrame(schema=SOURCE_SCHEMA)


class SourcePage(NamedTuple):
    """A source frame on its way to the destination, with the values that its rows take from their page. ``mark``: the
    page in the ids of its rows, unless that is its number."""

    iteration: int
    extracted_at: datetime
    frame: pl.DataFrame
    mark: str | None = None


def to_destination_frame(pages: Sequence[SourcePage], job_id: str, loaded_at: datetime | None = None) -> pl.DataFrame:
    """Destination frame of one or more pages of a job, with ``destination_id`` as a seventh column.

    ``bizon_id`` is derived from job, iteration, record id and, when a page holds the same id more than once, the
    occurrence. So a record of a page that is delivered again gets the same id. Additional columns are kept.
    ``loaded_at``: now by default.
    """
    filled = [page for page in pages if page.frame.height] or pages[:1]
    # frames with rejected rows have two more columns
    how: ConcatMethod = "vertical" if len({page.frame.width for page in filled}) == 1 else "diagonal"
    source = pl.concat([page.frame for page in filled], how=how, rechunk=False)
    prefix = _per_row(filled, pl.Series([page_mark(job_id, page.mark or page.iteration) for page in filled]))
    frame = source.select(
        bizon_id=pl.concat_str(prefix, pl.lit("0-"), "id"),
        bizon_extracted_at=_per_row(filled, _from_microseconds([page.extracted_at for page in filled])),
        bizon_loaded_at=repeated_moment(loaded_at or utc_now(), source.height),
        source_record_id=pl.col("id"),
        source_timestamp=pl.col("timestamp"),
        source_data=pl.col("data"),
        destination_id=pl.col("destination_id"),
        **{name: pl.col(name) for name in source.columns if name not in SOURCE_SCHEMA},
    )
    if frame["bizon_id"].n_unique() < frame.height:
        occurrence = pl.int_range(pl.len()).over(prefix, "source_record_id").cast(pl.String)
        frame = frame.with_columns(bizon_id=pl.concat_str(prefix, occurrence, pl.lit("-"), "source_record_id"))
    return frame


def page_mark(job_id: str, page: int | str) -> str:
    """The beginning of the ``bizon_id`` of all rows of a page."""
    return f"{job_id[:_JOB_DIGITS]}-{page}."


def _per_row(pages: Sequence[SourcePage], values: pl.Series) -> pl.Series:
    """One value per page, repeated for each of its rows."""
    if len(pages) == 1:
        return values.new_from_index(0, pages[0].frame.height)
    numbers = pl.Series(range(len(pages)), dtype=pl.UInt32)
    heights = pl.Series([page.frame.height for page in pages], dtype=pl.UInt32)
    return values[numbers.repeat_by(heights).explode()]


def rows_by_table(frame: pl.DataFrame, default: str) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each table by ``destination_id``, in order; rows without one go to ``default``."""
    if frame["destination_id"].null_count() == frame.height:
        return [(default, frame)]
    routed = frame.with_columns(pl.col("destination_id").fill_null(default))
    return [(str(name[0]), rows) for name, rows in routed.group_by("destination_id", maintain_order=True)]
