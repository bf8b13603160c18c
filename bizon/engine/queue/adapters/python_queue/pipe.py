"""The in-process queue across processes, by a pipe from each producer.

The producer's process writes encoded messages into the pipe. In the consumer's process a thread reads them into a
bounded :class:`PythonQueue`. When that is full, the thread stops reading, the pipe fills up, and ``put`` waits: the
bound holds across the processes. When a process dies, its end of the pipe closes, which the other side notices at once.
"""

from collections.abc import Sequence
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.lanes import Lane, lanes_of
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.codec import decode, encode
from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.queue.config import AbstractQueueConfigDetails
    from bizon.engine.queue.models import QueueMessage
    from bizon.engine.queue.spool import Spool

_READER_TIMEOUT = 1.0  # seconds; bounds how late the reader notices a closed queue


class PipeSender(AbstractQueue):
    """The producer's end of the pipe."""

    def __init__(self, config: "AbstractQueueConfigDetails", connection: "Connection[bytes, bytes]") -> None:
        super().__init__(config)
        self._connection = connection

    def connect(self) -> None:
        return None

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        """Waits while the consumer is alive and busy; never returns False."""
        try:
            self._connection.send_bytes(encode(message, compressed=False))
        except OSError as error:
            raise QueueError("the queue is closed: the consumer process has ended") from error
        return True

    def get(self, timeout: float) -> "QueueMessage | None":
        raise QueueError("the producer's end of the queue cannot read")

    def ack(self, job_id: str, to_iteration: int) -> None:
        raise QueueError("the producer's end of the queue cannot acknowledge")

    def close(self) -> None:
        self._connection.close()


class PipeReceiver(PythonQueue):
    """The consumer's end of the pipes, one for each producer."""

    def __init__(
        self,
        config: "AbstractQueueConfigDetails",
        connections: "Sequence[Connection[bytes, bytes]]",
        budget: int,
        spool: "Spool | None" = None,
        first_page: int = 0,
    ) -> None:
        if not isinstance(config, PythonQueueConfigDetails):
            raise QueueError("only the queue 'python_queue' goes through a pipe")
        super().__init__(config, budget, spool, first_page)
        self._connections = connections
        self._failure: QueueError | None = None

    def connect(self) -> None:
        for each in zip(self._connections, lanes_of(self, len(self._connections)), strict=True):
            Thread(target=self._read, args=each, name="queue-reader", daemon=True).start()

    def get(self, timeout: float) -> "QueueMessage | None":
        try:
            return super().get(timeout)
        except QueueError:
            if self._failure is not None:
                raise self._failure from None
            raise

    def _read(self, connection: "Connection[bytes, bytes]", lane: Lane) -> None:
        try:
            while True:
                message = decode(connection.recv_bytes())
                while not lane.put(message, _READER_TIMEOUT):
                    pass  # full: the pipe fills up and the producer waits
        except (EOFError, OSError):
            pass  # the producer has ended; get still returns its messages before it raises
        except QueueError as error:
            self._failure = error
        finally:
            lane.close()
            connection.close()
