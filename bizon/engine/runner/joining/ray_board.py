"""The board on which the driver of a run on Ray and its workers leave each other word."""


class Board:
    """An actor on the driver's node. It lives as long as the driver."""

    def __init__(self) -> None:
        self._must_stop = False
        self._counters: dict[int, list[int]] = {}

    def beat(self, worker: int, counters: list[int]) -> bool:
        """A worker is there, and this is its progress. Whether it must stop."""
        self._counters[worker] = counters
        return self._must_stop

    def ask_to_stop(self) -> bool:
        """The workers must end after their page."""
        self._must_stop = True
        return True

    def counters(self) -> dict[int, list[int]]:
        """The progress of all workers that have begun."""
        return self._counters
