"""Estimates how many records wait at the broker, by its count of messages and the last messages put."""

from collections import deque

_LONG = 10_000  # pages


class Backlog:
    """Bounded by ``limit`` records; an empty backlog has room for any page."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[int, int]] = deque()
        self._records = 0
        self._messages = 0
        self._long = _LONG

    @property
    def is_long(self) -> bool:
        """True when the list of pages is long and it is time to ask how many still wait, with any number of records."""
        return len(self._waiting) >= self._long

    def has_room(self, records: int) -> bool:
        """False when this many more records would pass the limit, as far as is known."""
        return not self._waiting or self._records + records <= self._limit

    def put(self, records: int, messages: int) -> None:
        """A page with this many records was put, as this many messages."""
        self._waiting.append((records, messages))
        self._records += records
        self._messages += messages

    def counted(self, messages: int) -> None:
        """At most this many messages wait now."""
        while self._waiting and self._messages - self._waiting[0][1] >= messages:
            records, gone = self._waiting.popleft()
            self._records -= records
            self._messages -= gone
        self._long = max(_LONG, 2 * len(self._waiting))
