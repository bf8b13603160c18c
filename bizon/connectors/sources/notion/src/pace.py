"""The budget of requests that all workers share."""

import time
from collections.abc import Callable
from threading import Lock

from bizon.common.waiting import StopSign, pause

_BURST = 10  # seconds' worth of requests that may go out at once


class TokenBucket:
    """Lets ``per_minute`` requests per 60 seconds pass, and none while the API asks for a pause.

    The session calls it for every attempt, on the threads of all workers. Each caller takes one token; when there are
    none left, it waits its turn outside the lock.
    """

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = per_minute / 60  # tokens per second
        self._most = max(1.0, self._rate * _BURST)
        self._tokens = self._most
        self._clock = clock
        self._sleep = sleep
        self._filled_at = clock()
        self._closed_until = 0.0
        self._lock = Lock()

    def wait(self, sign: StopSign | None) -> None:
        """Take a token; wait until there is one. Raises StoppedError when the run ends during the wait."""
        while (seconds := self._take()) > 0:
            pause(seconds, sign, clock=self._clock, sleep=self._sleep)

    def hold(self, seconds: float) -> None:
        """Let nothing pass for this many seconds. When it is asked twice, the later end counts."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _take(self) -> float:
        """Takes a token and returns 0, or returns the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            if now < self._closed_until:
                return self._closed_until - now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0
            return (1 - self._tokens) / self._rate
