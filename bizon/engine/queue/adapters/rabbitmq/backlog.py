"""How many records wait at the broker, from how many messages it says there are: the last ones that were put."""

from collections import deque

_LONG = 10_000  # pages


class Backlog:
    """Bounded by ``limit`` records; a page always has room when nothing waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[int, int]] = deque()
        self._records = 0
        self._messages = 0
        self._long = _LONG

    @property
    def is_long(self) -> bool:
        """True when so many pages are remembered that it is time to ask how many wait, whatever their records."""
        return len(self._waiting) >= self._long

    def has_room(self, records: int) -> bool:
        """False when so many more would pass the limit, as far as is known."""
        return not self._waiting or self._records + records <= self._limit

    def put(self, records: int, messages: int) -> None:
        """A page of so many records was put, as so many messages."""
        self._waiting.append((records, messages))
        self._records += records
        self._messages += messages

    def counted(self, messages: int) -> None:
        """At most so many messages wait now."""
        while self._waiting and self._messages - self._waiting[0][1] >= messages:
            records, gone = self._waiting.popleft()
            self._records -= records
            self._messages -= gone
        self._long = max(_LONG, 2 * len(self._waiting))
