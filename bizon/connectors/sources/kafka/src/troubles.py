"""Trouble that repeats itself: one warning when it begins, then counts, at growing intervals."""

from bizon.common.clock import Monotonic, monotonic
from bizon.common.safe_log import logger

_FIRST_WAIT, _LONGEST_WAIT = 10.0, 600.0  # seconds until the next word on a trouble that goes on; doubled each time


class Troubles:
    """What goes wrong for the time being, by kind. librdkafka reports an unreachable broker many times a second, each
    time in other words; a reader of the log needs the first of them, and how long it goes on."""

    def __init__(self, clock: Monotonic = monotonic) -> None:
        self._clock = clock
        self._going_on: dict[str, _Trouble] = {}

    def note(self, kind: str, text: str) -> None:
        """It went wrong again, or for the first time."""
        now = self._clock()
        trouble = self._going_on.get(kind)
        if trouble is None:
            self._going_on[kind] = _Trouble(now)
            logger.warning(f"kafka: {text}")
            return
        trouble.count += 1
        if now >= trouble.due:
            logger.warning(f"kafka: {text} ({trouble.count:,} times in {now - trouble.since:.0f} s)")
            trouble.wait = min(trouble.wait * 2, _LONGEST_WAIT)
            trouble.due = now + trouble.wait

    def over(self) -> None:
        """All is well again."""
        if not self._going_on:
            return
        longest = max(self._clock() - trouble.since for trouble in self._going_on.values())
        count = sum(trouble.count for trouble in self._going_on.values())
        logger.info(f"kafka: the brokers answer again, after {count:,} errors in {longest:.0f} s")
        self._going_on.clear()


class _Trouble:
    __slots__ = ("count", "due", "since", "wait")

    def __init__(self, now: float) -> None:
        self.since, self.wait, self.count = now, _FIRST_WAIT, 1
        self.due = now + self.wait
