"""Records that cannot be delivered: they stay in the frame of their page, with the reason, until the loader sets them
aside.

A frame with such rows has two more columns: ``stage``, the part that refused the record, and ``reason``; both are null
in good rows. A frame without such rows has neither.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
import polars as pl

from bizon.common.scrub import Scrubber
from bizon.records.encoding import encode_data, encode_extra
from bizon.records.frames import fault_of_timestamp, records_to_frame
from bizon.source.models import SourceRecord

REJECT_SCHEMA = pl.Schema({"stage": pl.String(), "reason": pl.String()})
_NO_MARKS = pl.DataFrame(schema=REJECT_SCHEMA).get_columns()
_LONGEST_TEXT = 10_000  # characters of a record that is shown as text
_scrub = Scrubber()


class Stage(StrEnum):
    """The part that refused a record."""

    SOURCE = "source"
    TRANSFORM = "transform"
    DESTINATION = "destination"


def rejected_rows(frame: pl.DataFrame) -> list[bool]:
    """For each row, whether it was refused already."""
    if "reason" not in frame.columns:
        return [False] * frame.height
    return frame["reason"].is_not_null().to_list()


def reject(frame: pl.DataFrame, reasons: Mapping[int, str], stage: Stage) -> pl.DataFrame:
    """The frame with the rows at these positions refused; what was refused before stays so. Reasons are masked and cut
    here: what was learned where they arise may not be known where they are written."""
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
    """The good rows, and those that were refused with ``stage`` and ``reason``; either may be empty."""
    if "reason" not in frame.columns:
        return frame, frame.clear().hstack(_NO_MARKS)
    is_good = pl.col("reason").is_null()
    return frame.filter(is_good).drop(*REJECT_SCHEMA), frame.filter(~is_good)


def without_refused(frame: pl.DataFrame, reasons: Mapping[int, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``split_rejected`` after the destination has refused the rows at these positions."""
    return split_rejected(reject(frame, reasons, Stage.DESTINATION))


def records_and_rejects_to_frame(records: Iterable[Any], now: datetime) -> pl.DataFrame:
    """Source frame of a page, in which records that cannot be encoded are refused, shown as well as they can be.

    Raises RecordError when the page as a whole is at fault.
    """
    reasons: dict[int, str] = {}

    def stand_in(record: Any, position: int, reason: str) -> SourceRecord:
        reasons[position] = reason
        return _stand_in(record, position)

    frame = records_to_frame(records, now, stand_in)
    return reject(frame, reasons, Stage.SOURCE)


def _stand_in(record: Any, position: int) -> SourceRecord:
    if not isinstance(record, SourceRecord):
        return SourceRecord(id=f"#{position}", data={"record": _as_text(record)})
    stamp = None if fault_of_timestamp(record) else record.own_timestamp
    return SourceRecord(record.id, _readable(record.data), stamp, record.destination_id)


def _readable(data: dict[Any, Any]) -> dict[Any, Any]:
    """The data as it would be encoded, with values that have no JSON form as text."""
    try:
        return {_key(key): orjson.Fragment(_encoded(value)) for key, value in data.items()}
    except Exception:  # noqa: BLE001 - of whatever a source has put there
        return {"record": _as_text(data)}


def _key(key: Any) -> Any:
    return key if key is None or isinstance(key, str | int | float) else _as_text(key)


def _encoded(value: Any) -> bytes:
    try:
        return encode_data(value, default=_shown)
    except Exception:  # noqa: BLE001 - refers to itself, or fails when it is looked at
        return orjson.dumps(_as_text(value))


def _shown(value: Any) -> Any:
    try:
        return encode_extra(value)
    except TypeError:
        return _as_text(value)


def _as_text(value: Any) -> str:
    try:
        return repr(value)[:_LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - the __repr__ of whatever a source has put there
        return object.__repr__(value)
