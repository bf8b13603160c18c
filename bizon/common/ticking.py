"""A thread that acts at an interval while something else runs: heartbeats, progress."""

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType


class Ticker:
    """Within its context, calls ``act`` every ``seconds`` on a daemon thread.

    The first call comes after one interval. Leaving the context waits for a call that is under way; none follows. An
    ``act`` that raises ends the ticking and nothing else, so it handles its own errors.
    """

    def __init__(self, act: Callable[[], None], seconds: float, *, name: str) -> None:
        self._act = act
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._tick, name=name, daemon=True)

    def stop(self) -> None:
        """No further call. May be called by ``act``."""
        self._stopped.set()

    def __enter__(self) -> "Ticker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def _tick(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._act()
