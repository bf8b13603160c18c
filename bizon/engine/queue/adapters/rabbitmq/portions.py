"""How much the consuming end asks the broker for. Pure bookkeeping: no I/O, no threads.

A broker delivers until so many messages are unacknowledged, and the consumer acknowledges only what it has committed:
a count that suits the memory may be used up long before a buffer is full. So the end asks in portions: when one is used
up and little is waiting here, it asks for another, beside what is unacknowledged. Portions are sized by the latest
messages, so that what waits here stays within ``room`` bytes, and grow step by step, so that a surprise stays small.
"""

from collections import deque

_FIRST, _LARGEST = 4, 64  # messages of a portion


class Portions:
    """Tags are the channel's own: 1, 2, 3 and so on."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._sizes: deque[int] = deque(maxlen=_LARGEST)
        self._portion = 0
        self._begins = 1
        self._delivered = 0
        self._acknowledged = 0

    def delivered(self, tag: int, size: int) -> None:
        """A message has come."""
        self._delivered = tag
        self._sizes.append(size)

    def acknowledged(self, tag: int) -> None:
        """The broker is told that it may forget all up to here."""
        self._acknowledged = tag

    def next(self, waiting: int) -> int | None:
        """Messages to ask for now, while so many bytes wait here; None: not yet."""
        used = self._delivered - max(self._acknowledged, self._begins - 1)
        if used < self._portion or waiting > self._room // 2:
            return None
        fitting = (self._room - waiting) // max(self._sizes, default=self._room // _FIRST)
        self._portion = max(1, min(fitting, self._portion * 2 or _FIRST, _LARGEST))
        self._begins = self._delivered + 1
        return self._portion

    def lost(self) -> None:
        """The channel is gone; what comes is for a new one."""
        self._portion = self._delivered = self._acknowledged = 0
        self._begins = 1
