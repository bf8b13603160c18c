"""Deliveries of a broker that are not acknowledged yet.

A broker forgets from the front: an acknowledgement covers everything up to a tag. So a message is acknowledged only
once all messages before it are done too.
"""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.engine.queue.models import QueueMessage


class _Delivery:
    __slots__ = ("is_done", "iteration", "job_id", "size", "tag")

    def __init__(self, tag: int, job_id: str | None, iteration: int, size: int) -> None:
        self.tag = tag
        self.job_id = job_id
        self.iteration = iteration
        self.size = size
        self.is_done = job_id is None


class Deliveries:
    """The deliveries of one connection, in order. ``tag``: the broker's own number of a delivery; tags rise."""

    def __init__(self) -> None:
        self._open: deque[_Delivery] = deque()
        self._size = 0
        self._pieces = 0
        self._needed: dict[tuple[str, int], int] = {}  # tags of pages from before clear that wait for their commit

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes of the unacknowledged deliveries, as they came from the broker."""
        return self._size

    def add(self, tag: int, message: "QueueMessage | None", size: int) -> None:
        """A message has arrived; None for one that is not bizon's."""
        if message is None:
            self._append(_Delivery(tag, None, 0, size))
        else:
            self._append(_Delivery(tag, message.job_id, message.iteration, size))

    def add_piece(self, size: int) -> None:
        """A piece of an incomplete message has arrived; it is acknowledged together with the message that follows."""
        self._pieces += size
        self._size += size

    def ack(self, job_id: str, to_iteration: int) -> int | None:
        """Pages up to ``to_iteration`` are committed. Returns the tag up to which everything can be acknowledged now,
        or None when nothing new can."""
        needed = self._needed.items()
        self._needed = {page: tag for page, tag in needed if page[0] != job_id or page[1] > to_iteration}
        for delivery in self._open:
            if delivery.job_id == job_id and delivery.iteration <= to_iteration:
                delivery.is_done = True
        return self._forget()

    def discard(self, tag: int) -> int | None:
        """The consumer no longer needs a message. Returns the same as ``ack``.

        To the consumer, a page that waits for its commit since before ``clear`` and arrives again is a repeat. It stays
        until ``ack`` covers it: only the broker's copy outlives the consumer.
        """
        for delivery in self._open:
            if delivery.tag == tag:
                delivery.is_done = (delivery.job_id, delivery.iteration) not in self._needed
                break
        else:  # it arrived before clear, and will arrive again
            self._needed = {page: known for page, known in self._needed.items() if known != tag}
        return self._forget()

    def clear(self) -> None:
        """The connection is lost: the broker will deliver the same messages again, under other tags."""
        for each in self._open:
            if each.job_id is not None and not each.is_done:
                self._needed[each.job_id, each.iteration] = each.tag
        self._open.clear()
        self._size = self._pieces = 0

    def _append(self, delivery: _Delivery) -> None:
        self._size += delivery.size
        delivery.size += self._pieces
        self._pieces = 0
        self._open.append(delivery)

    def _forget(self) -> int | None:
        last = None
        while self._open and self._open[0].is_done:
            delivery = self._open.popleft()
            self._size -= delivery.size
            last = delivery.tag
        return last
