"""The rate limit of ``http.rate``."""

import time
from collections.abc import Callable
from threading import Lock

from bizon.common.waiting import StopSign, pause
from bizon.source.retries import shared_pace


class EvenPace:
    """Lets a request pass every ``1 / rate`` seconds, and none while the API asks for a pause. The session calls it for
    every attempt, on all of its threads."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()
        self._lock = Lock()

    def wait(self, sign: StopSign | None) -> None:
        """Wait for the next free moment. Raises StoppedError when the run ends during the wait."""
        with self._lock:
            now = self._clock()
            mine = max(now, self._free_at)
            self._free_at = mine + self._gap
        pause(mine - now, sign, clock=self._clock, sleep=self._sleep)

    def hold(self, seconds: float) -> None:
        """Let no further request begin for this many seconds."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock() + seconds)


def pace_of(base_url: str, rate: float) -> EvenPace:
    """The pace for an API, which all sources of a process with the same address and rate share."""
    return shared_pace(lambda: EvenPace(rate), base_url, rate)
