"""Moments and durations as people and APIs write them."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator

from bizon.common.clock import as_utc, microseconds
from bizon.config.strict import stated

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_DURATION = re.compile(r"([1-9]\d{0,8})\s*([smhdw])")
_CENTURY = 3_155_760_000  # seconds
_SECOND, _DAY, _MILLISECOND = timedelta(seconds=1), timedelta(days=1), timedelta(milliseconds=1)
_STRFTIME_UNITS = (
    ("%f", timedelta(microseconds=1)),
    ("%S", _SECOND),
    ("%M", timedelta(minutes=1)),
    ("%H", timedelta(hours=1)),
)
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
    if text in NAMED_FORMATS or "%" in text:
        return text
    raise stated(f"must be {', '.join(NAMED_FORMATS)}, or a strftime text like %Y-%m-%d")


def checked_zone(name: str) -> str:
    """The name of a time zone, if it is known. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise stated("unknown time zone; use a name like UTC or Europe/Berlin") from None
    return name


class Moments:
    """Writes and reads moments in one format and zone. ``unit``: the smallest step that the format can tell."""

    def __init__(self, layout: str, zone: str) -> None:
        self._layout = layout
        self._zone = ZoneInfo(zone) if zone != "UTC" else UTC
        self.unit = _unit_of(layout)

    def written(self, moment: datetime) -> str | int:
        """The last whole unit that is not after the moment."""
        local = moment.astimezone(self._zone)
        match self._layout:
            case "epoch":
                return microseconds(moment) // 1_000_000
            case "epoch_ms":
                return microseconds(moment) // 1_000
            case "iso8601":
                return local.replace(microsecond=0).isoformat().replace("+00:00", "Z")
            case "date":
                return local.date().isoformat()
        return local.strftime(self._layout)

    def ceiled(self, moment: datetime) -> str | int:
        """The first whole unit that is not before the moment."""
        rounded = self.written(moment)
        return rounded if self.read(rounded) == moment else self.written(moment + self.unit)

    def read(self, value: Any) -> datetime:
        """The moment of a value of a record. Raises ValueError for one in another format."""
        try:
            return _aware(self._parsed(value), self._zone)
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise ValueError(f"a value that is no moment in the format {self._layout}") from None

    def _parsed(self, value: Any) -> datetime:
        match self._layout:
            case "epoch" | "epoch_ms":
                steps = 1_000_000 if self._layout == "epoch" else 1_000
                if isinstance(value, bool):
                    raise TypeError
                number = value if isinstance(value, int) else float(value)
                return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(number * steps))
            case "iso8601" | "date":
                return datetime.fromisoformat(value.strip())
        return datetime.strptime(value.strip(), self._layout)  # noqa: DTZ007 - the zone follows


def _aware(moment: datetime, zone: Any) -> datetime:
    return moment.replace(tzinfo=zone).astimezone(UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _unit_of(layout: str) -> timedelta:
    named = {"epoch": _SECOND, "epoch_ms": _MILLISECOND, "iso8601": _SECOND, "date": _DAY}
    if layout in named:
        return named[layout]
    return next((unit for sign, unit in _STRFTIME_UNITS if sign in layout or (sign == "%S" and "%s" in layout)), _DAY)


Seconds = Annotated[float, BeforeValidator(seconds_of)]
"""Type of a key that holds a duration."""
Moment = Annotated[datetime, BeforeValidator(moment_of)]
"""Type of a key that holds a moment."""
MomentFormat = Annotated[str, AfterValidator(checked_format)]
Zone = Annotated[str, AfterValidator(checked_zone)]
