"""From a page of a source to a source frame. The page is a list of records, lines of JSON, or a frame."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from bizon.common.clock import as_utc
from bizon.rows.exact_json import SentNumbers
from bizon.rows.frames import (
    SOURCE_SCHEMA,
    UTC_MICROSECONDS,
    RecordError,
    null_texts,
    records_to_frame,
    repeated_moment,
    text_series,
)
from bizon.rows.json_text import column_without_json, moments_in_utc, rows_as_json
from bizon.rows.lines import split_lines
from bizon.rows.rejects import Stage, records_and_rejects_to_frame, reject
from bizon.source.models import JsonLines, RecordFrame, SourceIteration, SourceRecord

_OPENING, _CLOSING = {"{", ord("{")}, {"}", ord("}")}


def records_of(page: SourceIteration) -> Iterable[SourceRecord] | JsonLines | RecordFrame:
    """The records of a page, for ``page_to_frame``. Unless other code keeps the page, each record is freed once the
    next one is read. Its memory is still in the cache of the processor then, and would not be after a whole page."""
    if isinstance(page.records, JsonLines | RecordFrame):
        return page.records
    return _freed_one_by_one(page.records)


def page_to_frame(
    records: Iterable[SourceRecord] | JsonLines | RecordFrame, now: datetime, *, refuse: bool = False
) -> pl.DataFrame:
    """Source frame of a page; a record without a timestamp gets ``now``.

    Raises RecordError for a record that cannot be encoded. With ``refuse`` the record is rejected instead, and only a
    page that is at fault as a whole raises.
    """
    if isinstance(records, JsonLines):
        return _from_lines(records, now, refuse=refuse)
    if isinstance(records, RecordFrame):
        return _from_frame(records, now, refuse=refuse)
    return records_and_rejects_to_frame(records, now) if refuse else records_to_frame(records, now)


def _freed_one_by_one(records: Iterable[SourceRecord]) -> Iterator[SourceRecord]:
    if not isinstance(records, list | tuple):
        yield from records
        return
    remaining = list(records)
    del records
    remaining.reverse()
    while remaining:
        yield remaining.pop()


def _from_lines(page: JsonLines, now: datetime, *, refuse: bool) -> pl.DataFrame:
    lines, undecoded = split_lines(page.text)
    for name in ("ids", "timestamps", "destination_ids"):
        given = getattr(page, name)
        if given is not None and len(given) != lines.len():
            raise RecordError(f"JsonLines has {lines.len()} lines and {len(given)} {name}")
    if lines.null_count():
        raise RecordError("a line of JsonLines is null")
    beyond = [row for row in page.faults if not 0 <= row < lines.len()]
    if beyond:
        raise RecordError(f"JsonLines has {lines.len()} lines and a fault in line {beyond[0]}, counted from 0")
    ids = None if undecoded else _found(page.id_field, lines) if page.ids is None else _given(page.ids, lines, page)
    data, reasons = lines, dict(page.faults)
    if ids is None or ids.len() != lines.len() or ids.null_count():
        ids, data, found = _one_by_one(lines.to_list(), page, undecoded)
        reasons = {**found, **page.faults}
    stamps, unknown = _stamps(page.timestamps, now)
    for row in unknown:
        reasons.setdefault(row, f"line {row + 1} of the page: its timestamp is outside the years 1 to 9999")
    if reasons and not refuse:
        raise RecordError(reasons[min(reasons)])
    tables = None if page.destination_ids is None else pl.Series(page.destination_ids, dtype=pl.String)
    return reject(_source_frame(ids, data, now, stamps, tables), reasons, Stage.SOURCE)


def _found(field: str, lines: pl.Series) -> pl.Series | None:
    """A field of each line, as text; None when a line is not a JSON object. Every line is parsed to find out.

    Also None when an id may differ from the text that was sent: a fraction, or a lone surrogate.
    """
    text = "\n".join(lines).encode("utf-8", "replace")
    whole = _read(text, field, pl.Int64()) if _begins_with_a_number(lines, field) else None
    if whole is not None:
        return whole.cast(pl.String)
    ids = _read(text, field, pl.String())
    if ids is None or ids.str.contains("\0", literal=True).any():
        return None
    fraction = rf'"{re.escape(field)}"\s*:\s*-?\d+[.eE]'
    like_numbers = ids.cast(pl.Float64, strict=False).is_not_null().any()
    return None if like_numbers and lines.str.contains(fraction).any() else ids


def _read(lines: bytes, field: str, dtype: pl.DataType) -> pl.Series | None:
    try:
        return pl.read_ndjson(lines, schema={field: dtype})[field]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _begins_with_a_number(lines: pl.Series, field: str) -> bool:
    """Whether the first id is a whole number. Then the others usually are too, and can be read as such."""
    return lines.len() > 0 and re.search(rf'"{re.escape(field)}"\s*:\s*-?\d+\s*[,}}]', lines[0]) is not None


def _given(ids: Sequence[str] | pl.Series, lines: pl.Series, page: JsonLines) -> pl.Series | None:
    """The ids that came with the lines; None when some line does not even look like an object."""
    if not _look_like_objects(lines if isinstance(page.text, bytes | str | pl.Series) else page.text):
        return None
    if isinstance(ids, pl.Series):
        return ids.cast(pl.String)
    try:
        return pl.Series(ids, dtype=pl.String)
    except TypeError:  # some id is a number
        return pl.Series([str(id_) for id_ in ids], dtype=pl.String)


def _look_like_objects(lines: Sequence[bytes] | Sequence[str] | pl.Series) -> bool:
    if isinstance(lines, pl.Series):
        return bool((lines.str.starts_with("{") & lines.str.ends_with("}")).all())
    # without Polars: its threads may be busy with the rows of earlier pages
    return all(lines) and {line[0] for line in lines} <= _OPENING and {line[-1] for line in lines} <= _CLOSING


def _stamps(
    given: Sequence[datetime | None] | pl.Series | None, now: datetime
) -> tuple[pl.Series | None, Sequence[int]]:
    """The moments that came with the lines, ``now`` for missing ones, and the rows whose moment is out of range."""
    if given is None:
        return None, ()
    if isinstance(given, pl.Series):
        moments, unknown = _aware(given, "timestamps")
        return moments.fill_null(now), unknown
    return pl.Series([now if moment is None else as_utc(moment) for moment in given], dtype=UTC_MICROSECONDS), ()


def _one_by_one(
    lines: list[str], page: JsonLines, undecoded: dict[int, str]
) -> tuple[pl.Series, pl.Series, dict[int, str]]:
    """Ids and texts of lines, some of them faulty, and the reasons for the faulty ones, by position."""
    ids, texts, reasons = [], [], dict(undecoded)
    exact = SentNumbers()
    for position, line in enumerate(lines):
        id_, reason = (None, None) if position in undecoded else _id_of(line, page.id_field, exact)
        if page.ids is not None:
            id_ = str(page.ids[position])
            reason = None if reason == _no_id(page.id_field) else reason
        if reason is not None:
            reasons[position] = f"line {position + 1} of the page {reason}"
        ids.append(f"#{position}" if id_ is None else id_)
        texts.append(line if reason is None else orjson.dumps({"line": line}).decode())
    return text_series("id", ids), pl.Series(texts, dtype=pl.String), reasons


def _id_of(line: str, field: str, exact: SentNumbers) -> tuple[str | None, str | None]:
    """Id and fault of a line."""
    try:
        record: Any = exact.loads(line, careful=False)
    except ValueError as error:
        return None, f"is not valid JSON: {error}"
    if not isinstance(record, dict):
        return None, "is not a JSON object"
    id_ = record.get(field)
    if id_ is None:
        return None, _no_id(field)
    if isinstance(id_, float):  # a fraction, or an integer beyond 64 bits
        id_ = exact.loads(line)[field]
    return id_ if isinstance(id_, str) else exact.dumps(id_), None


def _no_id(field: str) -> str:
    return f"has no '{field}' to identify it by"


def _from_frame(page: RecordFrame, now: datetime, *, refuse: bool) -> pl.DataFrame:
    frame = page.frame
    for name in filter(None, (page.id, page.timestamp, page.destination_id)):
        if name not in frame.columns:
            raise RecordError(f"the frame of the page has no column '{name}', it has: {', '.join(frame.columns)}")
    without = column_without_json(frame)
    if without is not None:
        raise RecordError(
            f"column '{without[0]}' of the page is {without[1]}, which has no JSON form: convert it to text first"
        )
    try:
        data, beyond = rows_as_json(frame)
        ids = frame[page.id].cast(pl.String)
        table = None if page.destination_id is None else frame[page.destination_id].cast(pl.String)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RecordError(f"the frame of the page cannot be read: {str(error).splitlines()[0]}") from None
    moments, unknown = None, list[int]()
    if page.timestamp is not None:
        moments, unknown = _aware(frame[page.timestamp], f"column '{page.timestamp}'")
        moments = moments.fill_null(now)
    reasons = {
        **{row: f"has a moment in column '{name}' beyond the calendar" for row, name in beyond.items()},
        **dict.fromkeys(unknown, f"has a '{page.timestamp}' outside the years 1 to 9999"),
        **dict.fromkeys(ids.is_null().arg_true(), f"has no '{page.id}'"),
    }
    reasons = {row: f"row {row} of the page {reason}" for row, reason in reasons.items()}
    if reasons and not refuse:
        raise RecordError(reasons[min(reasons)])
    return reject(_source_frame(ids.fill_null("#"), data, now, moments, table), reasons, Stage.SOURCE)


def _aware(moments: pl.Series, name: str) -> tuple[pl.Series, list[int]]:
    if not isinstance(moments.dtype, pl.Datetime):
        raise RecordError(f"{name} of the page is {moments.dtype}, not Datetime")
    return moments_in_utc(moments)


def _source_frame(
    ids: pl.Series, data: pl.Series, now: datetime, moments: pl.Series | None = None, table: pl.Series | None = None
) -> pl.DataFrame:
    if moments is None:
        moments = repeated_moment(now, data.len())
    if table is None:
        table = null_texts(data.len())
    columns = zip(SOURCE_SCHEMA.names(), (ids, data, moments, table), strict=True)
    return pl.DataFrame([column.alias(name) for name, column in columns])
