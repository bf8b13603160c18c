"""The queue in a Kafka topic: one partition, which keeps the order.

The producer waits for the broker's confirmation of every message. The consumer commits the offset after a page once the
destination has committed the page.
"""

try:
    import confluent_kafka  # noqa: F401 - to name the missing package before the modules below need it
except ImportError as error:
    from bizon.common.errors.errors import MissingDependencyError

    raise MissingDependencyError("kafka", "engine.queue.type 'kafka'") from error

from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.kafka.receiver import Receiver
from bizon.engine.queue.adapters.kafka.sender import Sender
from bizon.engine.queue.adapters.kafka.topic import ensure_topic
from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.backend.models import Role, StreamKey
    from bizon.engine.queue.adapters.kafka.config import KafkaConfigDetails
    from bizon.engine.queue.models import QueueMessage

_SMALLEST_BUDGET = 16 * 1024 * 1024  # bytes


class KafkaQueue(AbstractQueue):
    """One instance for each role, used on one thread.

    ``budget``: bytes of pages that may wait in memory; a sixth is fetched ahead, half may be in flight to the broker.
    Only the broker bounds the pages that wait there.
    """

    def __init__(self, config: "KafkaConfigDetails", *, role: "Role", stream: "StreamKey", budget: int) -> None:
        super().__init__(config)
        self._details = config
        self._role = role
        self._topic = config.queue.topic or stream.broker_name
        self._group = config.consumer.group_id or stream.broker_name
        self._budget = max(budget, _SMALLEST_BUDGET)
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None

    def connect(self) -> None:
        """Find or create the topic, and open this role's client. Raises QueueError after 20 seconds without a
        broker."""
        ensure_topic(self._details.queue, self._topic)
        if self._role.fetches:
            self._sender = Sender(self._details, self._topic, self._details.max_bytes or self._budget // 2)
            self._sender.connect()
        else:
            self._receiver = Receiver(self._details, self._topic, self._group, self._budget // 6)
            self._receiver.connect()

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        if self._sender is None:
            raise QueueError("this side of the queue is not open for putting")
        return self._sender.put(message, timeout)

    def get(self, timeout: float) -> "QueueMessage | None":
        return self._reading().get(timeout)

    def ack(self, job_id: str, to_iteration: int) -> None:
        self._reading().ack(job_id, to_iteration)

    def discard(self, message: "QueueMessage") -> None:
        self._reading().discard(message)

    def flush(self, timeout: float) -> bool:
        return self._sender is None or self._sender.flush(timeout)

    def abandon(self) -> None:
        if self._sender is not None:
            self._sender.abandon()

    @property
    def is_stalled(self) -> bool:
        return self._sender is not None and self._sender.is_stalled

    def is_drained(self) -> bool:
        return self._reading().is_drained()

    def close(self) -> None:
        """Idempotent. The producer raises QueueError when the broker has not confirmed all messages within a minute."""
        sender, self._sender = self._sender, None
        receiver, self._receiver = self._receiver, None
        if sender is not None:
            sender.close()
        if receiver is not None:
            receiver.close()

    def _reading(self) -> Receiver:
        if self._receiver is None:
            raise QueueError("this side of the queue is not open for getting")
        return self._receiver
