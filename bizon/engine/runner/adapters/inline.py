"""The queue of a run on one thread: there is none."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.pipeline.consumer import Consumer
    from bizon.engine.queue.config import AbstractQueueConfigDetails
    from bizon.engine.queue.models import QueueMessage
    from bizon.engine.queue.spool import Spool


class InlineQueue(AbstractQueue):
    """Takes the place of the queue: ``put`` hands the page to the consumer at once."""

    def __init__(
        self, config: "AbstractQueueConfigDetails", on_ack: Callable[[], None], spool: "Spool | None" = None
    ) -> None:
        super().__init__(config)
        self._on_ack = on_ack
        self._spool = spool
        self._consumer: Consumer | None = None

    def feed(self, consumer: "Consumer") -> None:
        """Pages go to this consumer from now on."""
        self._consumer = consumer

    def connect(self) -> None:
        return None

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        if self._consumer is not None:
            if self._spool is not None:
                self._spool.note(message)
            self._consumer.handle(message)
            self._consumer.flush_if_due()
        return True

    def get(self, timeout: float) -> "QueueMessage | None":
        return None

    def ack(self, job_id: str, to_iteration: int) -> None:
        if self._spool is not None:
            self._spool.committed(to_iteration)
        self._on_ack()

    def close(self) -> None:
        self._consumer = None
