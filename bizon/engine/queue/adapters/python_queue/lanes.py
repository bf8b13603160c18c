"""Several producers in front of one in-process queue, each with a lane of its own."""

from threading import Lock
from typing import TYPE_CHECKING

from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
    from bizon.engine.queue.models import QueueMessage


class Lane(AbstractQueue):
    """The end of the queue that one of ``count`` producers holds; the bounds of the queue hold for all of them.

    The queue is closed when every lane is. A lane that is closed before an end was put closes the queue at once: its
    producer has died, and nobody knows what is missing.
    """

    def __init__(self, queue: "PythonQueue", open_lanes: "OpenLanes") -> None:
        super().__init__(queue.config)
        self._queue = queue
        self._open_lanes = open_lanes
        self._has_ended = False
        self._is_closed = False

    def connect(self) -> None:
        return None

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        is_put = self._queue.put(message, timeout)
        self._has_ended = self._has_ended or (is_put and message.signal is not None)
        return is_put

    def get(self, timeout: float) -> "QueueMessage | None":
        return self._queue.get(timeout)

    def ack(self, job_id: str, to_iteration: int) -> None:
        self._queue.ack(job_id, to_iteration)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._open_lanes.leave() == 0 or not self._has_ended:
            self._queue.close()


class OpenLanes:
    """Counts the lanes of a queue that are open."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = Lock()

    def leave(self) -> int:
        """One lane is closed. Returns how many are left."""
        with self._lock:
            self._count -= 1
            return self._count


def lanes_of(queue: "PythonQueue", count: int) -> list[Lane]:
    """A lane for each producer."""
    open_lanes = OpenLanes(count)
    return [Lane(queue, open_lanes) for _ in range(count)]
