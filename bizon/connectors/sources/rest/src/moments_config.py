"""Types of keys that hold a moment, a duration, a format of moments or a time zone."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from bizon.common.clock import as_utc
from bizon.config.strict import stated

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_DURATION = re.compile(r"([1-9]\d{0,8})\s*([smhdw])")
_CENTURY = 3_155_760_000  # seconds
_SOME_DAY = datetime(2024, 11, 27, 15, 40, 10, tzinfo=UTC)
NAMED_FORMATS = ("iso8601", "date", "epoch", "epoch_ms")


def seconds_of(value: Any) -> float:
    """The seconds of ``7d``, ``2m`` or a number of seconds. Raises the error of the key."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        value = int(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _CENTURY:
        raise stated("must be a duration like 30s, 2m, 6h, 7d or 4w, or a number of seconds above 0")
    return float(value)


def moment_of(value: Any) -> datetime:
    """The moment of an ISO 8601 text, UTC when it has no zone. Raises ValueError."""
    if isinstance(value, date):
        value = value.isoformat()
    try:
        return as_utc(datetime.fromisoformat(value.strip()))
    except (ValueError, AttributeError):
        raise stated("must be a date, or a date and time, in ISO 8601: 2024-01-01 or 2024-01-01T00:00:00Z") from None


def checked_format(text: str) -> str:
    """A format of moments, if it is one. Raises ValueError."""
    if text in NAMED_FORMATS:
        return text
    try:
        again = datetime.strptime(_SOME_DAY.strftime(text), text)  # noqa: DTZ007 - only its day is looked at
        is_read = "%" in text and again.date() == _SOME_DAY.date()
    except ValueError:
        is_read = False
    if not is_read:
        raise stated(f"must be {', '.join(NAMED_FORMATS)}, or a strftime text with a whole date, like %Y-%m-%d")
    return text


def checked_zone(name: str) -> str:
    """The name of a time zone, if it is known. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise stated("unknown time zone; use a name like UTC or Europe/Berlin") from None
    return name


Seconds = Annotated[
    float,
    BeforeValidator(seconds_of),
    WithJsonSchema({"title": "duration", "anyOf": [{"type": "string"}, {"type": "number"}]}),
]
"""Type of a key that holds a duration."""
Moment = Annotated[datetime, BeforeValidator(moment_of), WithJsonSchema({"title": "date or moment", "type": "string"})]
"""Type of a key that holds a moment."""
MomentFormat = Annotated[str, AfterValidator(checked_format)]
Zone = Annotated[str, AfterValidator(checked_zone)]
