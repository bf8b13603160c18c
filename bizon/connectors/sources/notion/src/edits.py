"""The edits that an incremental run fetches, and those that an earlier run has delivered already."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bizon.common.clock import utc_now
from bizon.connectors.sources.notion.src.windows import MINUTE, SETTLING, Window, floored, moment, settled

if TYPE_CHECKING:
    from bizon.source.models import SourceIncrementalState


class EditWindow:
    """``begin <= last_edited_time < end``. It travels in the pagination, so that all pages of a run have the same."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.begin, self.end = (moment(str(bound)) for bound in window)

    @classmethod
    def of_run(cls, state: "SourceIncrementalState", now: datetime) -> "EditWindow":
        """The window of a run. It begins ``SETTLING`` before the end of the last one, since that may have ended as much
        earlier. A window of the past (``--since``) begins where the user says; a window that ends in the future
        (``--until``) moves no watermark, so it may end there."""
        end = state.run_started_at or now
        end = end if end > now else min(end, settled(now))
        begin = state.last_run if is_of_the_past(state) else state.last_run - SETTLING
        return cls([floored(begin).isoformat(), floored(end).isoformat()])

    @property
    def is_empty(self) -> bool:
        return self.begin >= self.end

    def covers(self, item: dict[str, Any]) -> bool:
        """Whether an object of the API was last edited in the window."""
        return self.begin <= moment(item["last_edited_time"]) < self.end


def is_of_the_past(state: "SourceIncrementalState") -> bool:
    """Whether the run fetches a window that earlier runs have covered."""
    until = state.state.get("until")
    return until is not None and state.run_started_at is not None and state.run_started_at <= moment(until)


class Delivered:
    """Edits near the end of the window: the next window overlaps this one, and leaves them out.

    One per run. It is kept in ``next_state`` as ``{"until": ..., "delivered": {id: last_edited_time}}``. A run that was
    killed forgets what it delivered before, so the next one may deliver edits of these minutes again.
    ``lookback``: seconds, ``source.incremental_lookback``.
    """

    def __init__(self, lookback: float, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._started = floored(clock())
        self._until = self._started - SETTLING
        self._lookback = timedelta(seconds=lookback)
        self._before: dict[str, str] = {}
        self._now: dict[str, str] = {}

    def follow(self, state: "SourceIncrementalState", edits: EditWindow) -> None:
        """Continue after an earlier run. Called before each page of an incremental run."""
        self._until = edits.end
        self._started = state.run_started_at or self._started
        self._before = {} if is_of_the_past(state) else state.state.get("delivered", {})

    def is_new(self, item: dict[str, Any]) -> bool:
        """Whether no earlier run has delivered this edit; from now on one has. An edit of a minute that has not settled
        is not remembered: another edit of that minute would look the same."""
        edited = item["last_edited_time"]
        if self._kept_from <= moment(edited) < floored(self._clock() - SETTLING):
            self._now[item["id"]] = edited
        return bool(self._before.get(item["id"]) != edited)

    @property
    def next_state(self) -> dict[str, Any]:
        """For the last page of a run."""
        earlier = {key: edited for key, edited in self._before.items() if moment(edited) >= self._kept_from}
        return {"until": self._until.isoformat(), "delivered": {**earlier, **self._now}}

    @property
    def _kept_from(self) -> datetime:
        """No later window begins before. A job is created a little before its source."""
        return min(self._until, self._started - SETTLING - MINUTE) - self._lookback
