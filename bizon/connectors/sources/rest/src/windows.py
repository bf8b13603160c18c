"""Windows of time: the steps in which a history, or the changes of a run, are read. They meet without a gap."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bizon.connectors.sources.rest.src.moments import Moments

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.incremental_config import IncrementalConfig


_MOST_PARTS = 100


class Window(NamedTuple):
    """``since <= changed < until``; None = without this end."""

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def from_json(cls, value: list[str | None]) -> Self:
        """The window that ``as_json`` wrote."""
        return cls(*(None if each is None else datetime.fromisoformat(each) for each in value))

    def as_json(self) -> list[str | None]:
        """For the pagination."""
        return [None if each is None else each.isoformat() for each in self]

    def covers(self, moment: datetime) -> bool:
        """Whether a change belongs to the window."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment < self.until)


class Bounds(NamedTuple):
    """The window that a run reads as a whole. ``now``: where the steps of a window without an end stop; the
    last of them is open."""

    window: Window
    now: datetime


class Windows:
    """The windows of one run, one after the other. Pure. ``limits``: the key ``incremental``; None = one query."""

    def __init__(self, limits: "IncrementalConfig | None", bounds: Bounds) -> None:
        self._limits = limits
        self._whole, self._now = bounds
        self._step = None if limits is None or limits.window is None else timedelta(seconds=limits.window)

    def first(self) -> Window | None:
        """The first window; None when there is nothing between the ends."""
        since, until = self._whole
        if since is not None and until is not None and until <= since:
            return None
        if since is None or self._step is None:
            return self._whole
        return Window(since, self._cut(since + self._step))

    def after(self, window: Window) -> Window | None:
        """The next window; None after the last. It grows again once a window had to be split."""
        if window.until is None or window.until == self._whole.until or window.since is None:
            return None
        length = 2 * (window.until - window.since)
        return Window(
            window.until, self._cut(window.until + (length if self._step is None else min(length, self._step)))
        )

    def half(self, window: Window) -> Window | None:
        """The first half of a window; None when it cannot be split, or is as short as the API can tell."""
        if self._limits is None or self._limits.until is None or window.since is None:
            return None
        unit = Moments(self._limits.until.format, self._limits.zone).unit
        half = ((window.until or self._now) - window.since) / 2
        return Window(window.since, window.since + half) if half >= unit else None

    def _cut(self, moment: datetime) -> datetime | None:
        stop = self._whole.until or self._now
        return moment if moment < stop else self._whole.until


def parts_of(windows: Windows) -> list[dict[str, Any]]:
    """Partitions of one window or several each; the last one has no end. None where a history is a single window."""
    found, window = list[Window](), windows.first()
    while window is not None:
        found.append(window)
        window = windows.after(window)
    size = -(-len(found) // _MOST_PARTS)
    groups = [found[first : first + size] for first in range(0, len(found), size)] if len(found) > 1 else []
    return [{"window": Window(group[0].since, group[-1].until).as_json()} for group in groups]


def written(window: Window, limits: "IncrementalConfig") -> dict[str, Any]:
    """The ends of a window as the API takes them, by ``since`` and ``until``. An end that is open, or that the API
    cannot take, is left out.

    The start is asked for one unit early, unless the API includes it, and the end is rounded up: whatever the API does
    with the very moment, no change of the window is lost. ``Window.covers`` leaves out the rest.
    """
    found: dict[str, Any] = {}
    if limits.since is not None and window.since is not None:
        moments = Moments(limits.since.format, limits.zone)
        since = moments.written(window.since if limits.since.inclusive else window.since - moments.unit)
        found["since"] = str(since) if limits.since.as_text else since
    if limits.until is not None and window.until is not None:
        until = Moments(limits.until.format, limits.zone).ceiled(window.until)
        found["until"] = str(until) if limits.until.as_text else until
    return found
