"""Errors that repeat: one warning for the first, then counts at growing intervals."""

from collections.abc import Callable
from time import monotonic

from bizon.common.safe_log import logger

_FIRST_WAIT, _LONGEST_WAIT = 10.0, 600.0  # seconds between warnings about a lasting error; doubled each time


class RepeatedErrors:
    """Transient errors, by kind. librdkafka reports an unreachable broker many times a second, each time in other
    words. A reader of the log needs the first of these messages, and how long the error lasts."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lasting: dict[str, _LastingError] = {}

    def add(self, kind: str, text: str) -> None:
        """An error of this kind occurred, perhaps not for the first time."""
        now = self._clock()
        error = self._lasting.get(kind)
        if error is None:
            self._lasting[kind] = _LastingError(now)
            logger.warning(f"kafka: {text}")
            return
        error.count += 1
        if now >= error.due:
            logger.warning(f"kafka: {text} ({error.count:,} times in {now - error.since:.0f} s)")
            error.wait = min(error.wait * 2, _LONGEST_WAIT)
            error.due = now + error.wait

    def recovered(self) -> None:
        """The brokers answer: every error is over."""
        if not self._lasting:
            return
        longest = max(self._clock() - error.since for error in self._lasting.values())
        count = sum(error.count for error in self._lasting.values())
        logger.info(f"kafka: the brokers answer again, after {count:,} errors in {longest:.0f} s")
        self._lasting.clear()


class _LastingError:
    __slots__ = ("count", "due", "since", "wait")

    def __init__(self, now: float) -> None:
        self.since, self.wait, self.count = now, _FIRST_WAIT, 1
        self.due = now + self.wait
