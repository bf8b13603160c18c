"""How many messages the consumer asks the broker for. Pure bookkeeping: no I/O, no threads.

A broker delivers until a given number of messages is unacknowledged, and the consumer acknowledges only committed
pages. A number that suits the memory may be used up long before a buffer is full. So the consumer asks for portions:
when one is used up and few bytes wait here, it asks for another, in addition to the unacknowledged ones. The latest
messages decide the size of a portion, so that waiting messages stay within ``room`` bytes. Portions grow step by step,
so that unexpectedly large messages do little harm.
"""

from collections import deque

_FIRST, _LARGEST = 4, 64  # messages in a portion


class Portions:
    """Tags are the channel's: 1, 2, 3 and so on."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._sizes: deque[int] = deque(maxlen=_LARGEST)
        self._portion = 0
        self._begins = 1
        self._delivered = 0
        self._acknowledged = 0

    def delivered(self, tag: int, size: int) -> None:
        """A message has arrived."""
        self._delivered = tag
        self._sizes.append(size)

    def acknowledged(self, tag: int) -> None:
        """All messages up to this tag are acknowledged."""
        self._acknowledged = tag

    def next(self, waiting: int) -> int | None:
        """Messages to ask for now, while ``waiting`` bytes wait here; None: not yet."""
        used = self._delivered - max(self._acknowledged, self._begins - 1)
        if used < self._portion or waiting > self._room // 2:
            return None
        fitting = (self._room - waiting) // max(self._sizes, default=self._room // _FIRST)
        self._portion = max(1, min(fitting, self._portion * 2 or _FIRST, _LARGEST))
        self._begins = self._delivered + 1
        return self._portion

    def lost(self) -> None:
        """The channel is lost; the next calls are for a new one."""
        self._portion = self._delivered = self._acknowledged = 0
        self._begins = 1
