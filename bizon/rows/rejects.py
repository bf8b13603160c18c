"""Records that cannot be delivered: they stay in the frame of their page, with the reason, until the loader takes them
out.

A frame with such rows has two more columns: ``stage``, the part of the run that rejected the record, and ``reason``.
Both are null in good rows. A frame without such rows has neither column.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
import polars as pl

from bizon.common.scrub import Scrubber
from bizon.rows.encoding import encode_data, encode_extra
from bizon.rows.frames import records_to_frame
from bizon.rows.record_faults import timestamp_fault
from bizon.source.models import SourceRecord

REJECT_SCHEMA = pl.Schema({"stage": pl.String(), "reason": pl.String()})
_NO_MARKS = pl.DataFrame(schema=REJECT_SCHEMA).get_columns()
_LONGEST_TEXT = 10_000  # characters, for a value that is shown as text
_scrub = Scrubber()


class Stage(StrEnum):
    """The part of the run that rejected a record."""

    SOURCE = "source"
    TRANSFORM = "transform"
    DESTINATION = "destination"


def rejected_rows(frame: pl.DataFrame) -> list[bool]:
    """For each row, whether it is rejected already."""
    if "reason" not in frame.columns:
        return [False] * frame.height
    return frame["reason"].is_not_null().to_list()


def reject(frame: pl.DataFrame, reasons: Mapping[int, str], stage: Stage) -> pl.DataFrame:
    """The frame with the rows at these positions rejected; rows rejected before stay rejected. Secrets in the reasons
    are masked here, since the process that writes them may not know these secrets; long reasons are shortened."""
    if not reasons:
        return frame
    rows = range(frame.height)
    marks = pl.DataFrame(
        {
            "stage": [stage.value if row in reasons else None for row in rows],
            "reason": [_scrub.brief(reasons[row]) if row in reasons else None for row in rows],
        },
        schema=REJECT_SCHEMA,
    )
    if "reason" in frame.columns:
        marks = marks.with_columns(pl.coalesce(frame[name], name).alias(name) for name in REJECT_SCHEMA)
    return frame.with_columns(marks.get_columns())


def split_rejected(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The good rows, and the rejected ones with ``stage`` and ``reason``; either may be empty."""
    if "reason" not in frame.columns:
        return frame, _no_rejects(frame)
    is_good = pl.col("reason").is_null()
    return frame.filter(is_good).drop(*REJECT_SCHEMA), frame.filter(~is_good)


def without_refused(frame: pl.DataFrame, reasons: Mapping[int, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``split_rejected`` after the destination has refused the rows at these positions."""
    return split_rejected(reject(frame, reasons, Stage.DESTINATION))


def _no_rejects(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame for the rejected rows of a frame that has only good ones; empty."""
    return frame.clear().hstack(_NO_MARKS)


def records_and_rejects_to_frame(records: Iterable[Any], now: datetime) -> pl.DataFrame:
    """Source frame of a page. Records that cannot be encoded are rejected, and their data is shown as far as possible.

    Raises RecordError when the page as a whole is at fault.
    """
    reasons: dict[int, str] = {}

    def substitute(record: Any, position: int, reason: str) -> SourceRecord:
        reasons[position] = reason
        return _substitute(record, position)

    frame = records_to_frame(records, now, substitute)
    return reject(frame, reasons, Stage.SOURCE)


def _substitute(record: Any, position: int) -> SourceRecord:
    if not isinstance(record, SourceRecord):
        return SourceRecord(id=f"#{position}", data={"record": _as_text(record)})
    stamp = None if timestamp_fault(record) else record.own_timestamp
    return SourceRecord(record.id, _readable(record.data), stamp, record.destination_id)


def _readable(data: dict[Any, Any]) -> dict[Any, Any]:
    """The data with values that have no JSON form as text."""
    try:
        return {_key(key): orjson.Fragment(_encoded(value)) for key, value in data.items()}
    except Exception:  # noqa: BLE001 - a source may put any object there
        return {"record": _as_text(data)}


def _key(key: Any) -> Any:
    return key if key is None or isinstance(key, str | int | float) else _as_text(key)


def _encoded(value: Any) -> bytes:
    try:
        return encode_data(value, default=_shown)
    except Exception:  # noqa: BLE001 - it refers to itself, or fails when it is inspected
        return orjson.dumps(_as_text(value))


def _shown(value: Any) -> Any:
    try:
        return encode_extra(value)
    except TypeError:
        return _as_text(value)


def _as_text(value: Any) -> str:
    try:
        return repr(value)[:_LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - any __repr__ may fail
        return object.__repr__(value)
