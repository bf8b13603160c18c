"""The two frames: how records travel, and what a destination receives.

source frame       id String, data String (JSON text), timestamp Datetime(us, UTC), destination_id String
destination frame  bizon_id String, bizon_extracted_at, bizon_loaded_at Datetime(us, UTC), source_record_id String,
                   source_timestamp Datetime(us, UTC), source_data String (JSON text)

Records become a source frame once, at the producer, and stay columns from there on. Inside the engine the destination
frame carries ``destination_id`` as a seventh column until the loader has routed the rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from bizon.common.clock import as_utc, microseconds
from bizon.rows.encoding import NestingError, encode_extra, without_surrogates
from bizon.rows.encoding import encode_data as encode_data  # where it is looked for: it makes the text of a record
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
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS_AT_ONCE = 512  # the memory of so many is still near the processor when the next ones take their place


class RecordError(ValueError):
    """A record of a page cannot be encoded. The message names the record."""


Stand = Callable[[Any, int, str], SourceRecord]
"""Takes a record that cannot be encoded, its position in the page and the reason; gives what stands in for it."""


def records_to_frame(records: Iterable[SourceRecord], now: datetime, stand_in: Stand | None = None) -> pl.DataFrame:
    """Source frame of one page; a record without a timestamp gets ``now``.

    Each record is looked at once, in turn, and not again. Raises RecordError for one that cannot be encoded, unless
    there is a ``stand_in``, and for a page that is at fault as a whole.
    """
    ids: list[str] = []
    stamps: dict[int, datetime] = {}
    tables: dict[int, str] = {}
    columns: list[pl.Series] = []
    dumps, extra, waiting = orjson.dumps, encode_extra, iter(records)
    while True:
        data: list[bytes] = []
        for record in islice(waiting, _TEXTS_AT_ONCE):
            try:
                data.append(dumps(record.data, extra))
            except Exception:  # noqa: BLE001 - a record that needs more than orjson does, or is at fault in any way
                record = _encodable(record, len(ids), stand_in)
                data.append(encode_data(record.data))
            if record.own_timestamp is not None:
                try:
                    stamps[len(ids)] = as_utc(record.own_timestamp)
                except Exception:  # noqa: BLE001 - of a moment outside the calendar, or of the source's own time zone
                    record = _encodable(record, len(ids), stand_in)
                    data[-1] = encode_data(record.data)
            if record.destination_id is not None:
                tables[len(ids)] = record.destination_id
            ids.append(record.id)
        columns.append(_decoded(data))
        if len(data) < _TEXTS_AT_ONCE:
            break
    texts = pl.concat(columns, rechunk=True)
    return pl.DataFrame([text_series("id", ids), texts, _moments(stamps, now, len(ids)), _tables(tables, len(ids))])


def _encodable(record: SourceRecord, position: int, stand_in: Stand | None) -> SourceRecord:
    """The record, also of a dict with its fields, or what stands in for one that is at fault."""
    if isinstance(record, dict):
        with suppress(TypeError, ValueError):
            record = SourceRecord.model_validate(record)
    reason = fault_of(record, position)
    if reason is None:
        return record
    if stand_in is None:
        raise RecordError(reason) from None
    return stand_in(record, position, reason)


def _decoded(data: Sequence[bytes]) -> pl.Series:
    try:
        return pl.Series("data", data, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:  # an orjson.Fragment that is no UTF-8
        return pl.Series("data", [text.decode("utf-8", "replace") for text in data], dtype=pl.String)


def _moments(stamps: Mapping[int, datetime], now: datetime, rows: int) -> pl.Series:
    if not stamps:
        return same_moment(now, rows).alias("timestamp")
    return pl.Series("timestamp", [stamps.get(row, now) for row in range(rows)], dtype=UTC_MICROSECONDS)


def _tables(tables: Mapping[int, str], rows: int) -> pl.Series:
    if not tables:
        return no_text(rows).alias("destination_id")
    return text_series("destination_id", [tables.get(row) for row in range(rows)])


def no_text(rows: int) -> pl.Series:
    """A column of text that holds none."""
    return pl.Series([None], dtype=pl.String).new_from_index(0, rows)


def same_moment(moment: datetime, rows: int) -> pl.Series:
    """A column that holds one moment in every row."""
    return _from_microseconds([moment]).new_from_index(0, rows)


def _from_microseconds(moments: Sequence[datetime]) -> pl.Series:
    # a datetime in a list takes Polars a hundred times as long as the number of its microseconds
    return pl.Series([microseconds(moment) for moment in moments], dtype=pl.Int64).cast(UTC_MICROSECONDS)


def text_series(name: str, texts: Sequence[str | None]) -> pl.Series:
    """A column of text; half a surrogate pair becomes U+FFFD."""
    try:
        return pl.Series(name, texts, dtype=pl.String)
    except UnicodeEncodeError:  # an id or a table name with a lone surrogate
        return pl.Series(name, [None if text is None else without_surrogates(text) for text in texts], dtype=pl.String)


def fault_of(record: Any, position: int) -> str | None:
    """Why a record of a page cannot be encoded, or None when it can."""
    if not isinstance(record, SourceRecord):
        lacks = " with 'id' and 'data'" if isinstance(record, dict) else ""
        return f"record {position} of the page is a {type(record).__name__}, not a SourceRecord{lacks}"
    try:
        encode_data(record.data).decode()
    except NestingError as error:
        return f"record {record.id!r}: data: {error}"
    except (TypeError, ValueError) as error:
        return f"record {record.id!r}: {_path_of_fault(record.data) or 'data'}: {error}"
    except MemoryError:  # no fault of the record
        raise
    except Exception as error:  # noqa: BLE001 - of whatever a source has put there
        return f"record {record.id!r}: data: {type(error).__name__}: {error}"
    return fault_of_timestamp(record)


def fault_of_timestamp(record: SourceRecord) -> str | None:
    """Why the timestamp of a record cannot be a moment in UTC, or None when it can."""
    try:
        as_utc(record.own_timestamp or _BEGINNING)
    except Exception as error:  # noqa: BLE001 - of a moment outside the calendar, or of the source's own time zone
        return f"record {record.id!r}: its timestamp cannot be told in UTC: {type(error).__name__}: {error}"
    return None


def _path_of_fault(value: Any) -> str | None:
    """Where inside ``value`` the first thing stands that is no JSON, as ``data.key[0]``."""
    stack: list[tuple[str, Any]] = [("data", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            stack.extend((f"{path}.{key}", inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list | tuple):
            stack.extend((f"{path}[{index}]", inner) for index, inner in reversed(list(enumerate(item))))
        else:
            try:
                encode_data(item)
            except TypeError:
                return path
    return None


def frame_bytes(frame: pl.DataFrame) -> int:
    """Memory a frame takes, in bytes, as Polars estimates it."""
    return int(frame.estimated_size())


def empty_source_frame() -> pl.DataFrame:
    """A source frame without rows."""
    return pl.DataFrame(schema=SOURCE_SCHEMA)


class SourcePage(NamedTuple):
    """A source frame on its way to the destination, with what its rows get from their page."""

    iteration: int
    extracted_at: datetime
    frame: pl.DataFrame


def to_destination_frame(pages: Sequence[SourcePage], job_id: str, loaded_at: datetime) -> pl.DataFrame:
    """Destination frame of one or more pages of a job, with ``destination_id`` as a seventh column.

    ``bizon_id`` is derived from job, iteration, record id and, when a page holds the same id more than once, the
    occurrence: the same record of a page that is delivered again gets the same id. Columns beyond those of a source
    frame are kept.
    """
    filled = [page for page in pages if page.frame.height] or pages[:1]
    # frames with refused rows have two columns more than the others
    how: ConcatMethod = "vertical" if len({page.frame.width for page in filled}) == 1 else "diagonal"
    source = pl.concat([page.frame for page in filled], how=how, rechunk=False)
    prefix = _of_rows(filled, pl.Series([f"{job_id[:_JOB_DIGITS]}-{page.iteration}." for page in filled]))
    frame = source.select(
        bizon_id=pl.concat_str(prefix, pl.lit("0-"), "id"),
        bizon_extracted_at=_of_rows(filled, _from_microseconds([page.extracted_at for page in filled])),
        bizon_loaded_at=same_moment(loaded_at, source.height),
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


def _of_rows(pages: Sequence[SourcePage], values: pl.Series) -> pl.Series:
    """A value per page as a value per row."""
    if len(pages) == 1:
        return values.new_from_index(0, pages[0].frame.height)
    numbers = pl.Series(range(len(pages)), dtype=pl.UInt32)
    heights = pl.Series([page.frame.height for page in pages], dtype=pl.UInt32)
    return values[numbers.repeat_by(heights).explode()]


def rows_by_table(frame: pl.DataFrame, default: str) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each table that ``destination_id`` names, those without one with ``default``, in order."""
    if frame["destination_id"].null_count() == frame.height:
        return [(default, frame)]
    routed = frame.with_columns(pl.col("destination_id").fill_null(default))
    return [(str(name[0]), rows) for name, rows in routed.group_by("destination_id", maintain_order=True)]
