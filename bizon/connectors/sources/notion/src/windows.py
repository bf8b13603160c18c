"""Windows of time: half-open, in whole minutes, the unit of Notion's timestamps. No I/O."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

MINUTE = timedelta(minutes=1)

SETTLING = 2 * MINUTE
"""Notion cuts ``last_edited_time`` to the minute, and shows an edit a little later: a window ends this long ago."""

Window = list[str | None]
"""Begin, inclusive, and end, exclusive, as ISO 8601 text; None = open. A list, since it travels as JSON."""

OPEN: Window = [None, None]


def moment(text: str) -> datetime:
    """A timestamp of Notion."""
    return datetime.fromisoformat(text).astimezone(UTC)


def floored(time: datetime) -> datetime:
    """The beginning of the minute."""
    return time.astimezone(UTC).replace(second=0, microsecond=0)


def settled(now: datetime | None = None) -> datetime:
    """Where a window ends at the latest: the beginning of a minute whose edits Notion shows by now."""
    return floored((now or datetime.now(UTC)) - SETTLING)


def halves(window: Window, oldest: str, newest: str) -> list[Window] | None:
    """A window as two that meet; None when it is a minute or less. ``oldest`` and ``newest``, timestamps of results,
    bound an open window for the choice of the middle. The outer ends stay as they are."""
    begin = moment(window[0] or oldest)
    end = moment(window[1]) if window[1] else floored(moment(newest)) + MINUTE
    begin = floored(begin)
    minutes = (end - begin) // MINUTE
    if minutes <= 1:
        return None
    middle = (begin + minutes // 2 * MINUTE).isoformat()
    return [[window[0], middle], [middle, window[1]]]


def filters_of(window: Window, field: str) -> Iterator[dict[str, Any]]:
    """Conditions of a query. ``field``: ``created_time`` or ``last_edited_time``."""
    for bound, operator in zip(window, ("on_or_after", "before"), strict=True):
        if bound is not None:
            yield {"timestamp": field, field: {operator: bound}}


def combined(own: dict[str, Any] | None, conditions: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The filter of a user and further conditions, in Notion's at most two levels of ``and`` and ``or``."""
    if own is None:
        return {"and": list(conditions)} if conditions else None
    if not conditions:
        return own
    if "and" in own:
        return {"and": [*own["and"], *conditions]}
    if any("and" in each or "or" in each for each in own.get("or", ())):
        return {"or": [combined(each, conditions) for each in own["or"]]}
    return {"and": [own, *conditions]}
