"""What a broker has delivered and is not told yet that it may forget.

A broker forgets from the front: an acknowledgement is for everything up to a place. So a message counts only once all
before it are settled too.
"""

from collections import deque

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
    """The deliveries of one connection, in their order. ``tag`` is the place in the broker's own numbers, rising."""

    def __init__(self) -> None:
        self._open: deque[_Delivery] = deque()
        self._size = 0
        self._pieces = 0
        self._needed: dict[tuple[str, int], int] = {}  # pages that wait for their commit since before clear; tags

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes of what is not forgotten yet, as it came from the broker."""
        return self._size

    def add(self, tag: int, message: QueueMessage | None, size: int) -> None:
        """A message has come. None: a stranger's, of no use."""
        if message is None:
            self._append(_Delivery(tag, None, 0, size))
        else:
            self._append(_Delivery(tag, message.job_id, message.iteration, size))

    def add_piece(self, size: int) -> None:
        """A piece of a message has come that is still incomplete; it is forgotten with the message that follows."""
        self._pieces += size
        self._size += size

    def ack(self, job_id: str, to_iteration: int) -> int | None:
        """Pages up to ``to_iteration`` are committed. The tag up to which everything is settled now, None if nothing
        more is than before."""
        needed = self._needed.items()
        self._needed = {page: tag for page, tag in needed if page[0] != job_id or page[1] > to_iteration}
        for delivery in self._open:
            if delivery.job_id == job_id and delivery.iteration <= to_iteration:
                delivery.is_done = True
        return self._forget()

    def discard(self, tag: int) -> int | None:
        """One message is of no further use. Answers as ``ack`` does.

        A page that waits for its commit since before ``clear``, and has come again, is a repeat to the consumer. It
        stays until it is acknowledged: the broker has the only copy that outlives the consumer.
        """
        for delivery in self._open:
            if delivery.tag == tag:
                delivery.is_done = (delivery.job_id, delivery.iteration) not in self._needed
                break
        else:  # it came before clear, and will come again
            self._needed = {page: known for page, known in self._needed.items() if known != tag}
        return self._forget()

    def clear(self) -> None:
        """The connection is gone: what it delivered will be delivered again, under other tags."""
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
