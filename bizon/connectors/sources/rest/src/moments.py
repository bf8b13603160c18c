"""Moments as APIs write them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bizon.common.clock import microseconds

_SECOND, _DAY, _MILLISECOND = timedelta(seconds=1), timedelta(days=1), timedelta(milliseconds=1)
_STRFTIME_UNITS = (
    ("%f", timedelta(microseconds=1)),
    ("%S", _SECOND),
    ("%M", timedelta(minutes=1)),
    ("%H", timedelta(hours=1)),
)


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
            raise ValueError(f"a value that is not a moment in the format {self._layout}") from None

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
