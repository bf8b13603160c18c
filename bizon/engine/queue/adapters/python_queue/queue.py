"""The in-process queue: pages wait in memory, bounded by pages, records and bytes."""

from collections import deque
from dataclasses import replace
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
    from bizon.engine.queue.models import QueueMessage
    from bizon.engine.queue.spool import Spool

_BUDGET = 16 * 1024 * 1024


class PythonQueue(AbstractQueue):
    """The threads of producer and consumer share one instance.

    ``budget`` applies when the config sets no ``max_bytes``. It bounds the bytes of all unacknowledged pages, in the
    queue and in the buffer after it; paginations and states count only in the queue, since the consumer keeps only the
    last ones. An empty queue has room for any page. Nothing in memory survives the process; the ``spool`` keeps pages
    that wait long. Pages of partitions are numbered in the order in which they find room, from ``first_page``.
    """

    def __init__(
        self,
        config: "PythonQueueConfigDetails",
        budget: int = _BUDGET,
        spool: "Spool | None" = None,
        first_page: int = 0,
    ) -> None:
        super().__init__(config)
        self._spool = spool
        self._next_number = first_page
        self._max_bytes = config.max_bytes
        self._budget = budget
        self._max_records = config.max_nb_messages
        self._max_pages = config.queue.max_size
        self._waiting: deque[tuple[QueueMessage, int, int]] = deque()
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._held = 0
        self._records = 0
        self._closed = False
        self._changed = Condition()

    def connect(self) -> None:
        return None

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        size, state = message.size, message.state_size
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(message, size + state), timeout)
            if self._closed:
                raise QueueError("the queue is closed: the consumer has ended")
            if not self._has_room(message, size + state):
                return False
            message = self._numbered(message)
            self._waiting.append((message, size, state))
            self._unacknowledged.append((message.page, size))
            self._bytes += size + state
            self._held += size + state
            self._records += message.frame.height
            if self._spool is not None:
                self._spool.note(message)
            self._changed.notify_all()
            return True

    def get(self, timeout: float) -> "QueueMessage | None":
        deadline = monotonic() + timeout
        with self._changed:
            while not self._waiting:
                if self._closed:
                    raise QueueError("the queue is closed: the producer ended without saying how")
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return None
                self._changed.wait(remaining)
            message, size, state = self._waiting.popleft()
            self._bytes -= size + state
            self._held -= state
            self._records -= message.frame.height
            self._changed.notify_all()
            return message

    def ack(self, job_id: str, to_iteration: int) -> None:
        with self._changed:
            while self._unacknowledged and self._unacknowledged[0][0] <= to_iteration:
                self._held -= self._unacknowledged.popleft()[1]
            self._changed.notify_all()
        if self._spool is not None:
            self._spool.committed(to_iteration)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _numbered(self, message: "QueueMessage") -> "QueueMessage":
        if message.partition is None:
            return message
        self._next_number += 1
        return replace(message, number=self._next_number - 1)

    def _has_room(self, message: "QueueMessage", size: int) -> bool:
        if not self._waiting or message.signal is not None:
            return True
        fits = self._held + size <= self._budget if self._max_bytes is None else self._bytes + size <= self._max_bytes
        return (
            fits
            and self._records + message.frame.height <= self._max_records
            and (self._max_pages == 0 or len(self._waiting) < self._max_pages)
        )
