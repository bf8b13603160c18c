"""The RabbitMQ queue: pages wait at a broker, so the two sides of a run may be on two hosts."""

from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.rabbitmq.receiver import Receiver
from bizon.engine.queue.adapters.rabbitmq.sender import Sender
from bizon.engine.queue.queue import AbstractQueue

if TYPE_CHECKING:
    from bizon.engine.backend.models import Role, StreamKey
    from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails
    from bizon.engine.queue.models import QueueMessage

_SMALLEST_BUDGET = 16 * 1024 * 1024


class RabbitMQQueue(AbstractQueue):
    """One side of a durable queue of persistent messages.

    The producer keeps at most half of ``budget`` (bytes) in unconfirmed messages. The consumer lets at most a third
    wait here, in addition to the destination's buffer. Both count the size on the wire, and may exceed it by the
    messages of one portion. The queue stays at the broker after the run.
    """

    def __init__(self, config: "RabbitMQConfigDetails", *, role: "Role", stream: "StreamKey", budget: int) -> None:
        super().__init__(config)
        name = config.queue.queue_name or stream.broker_name
        budget = max(budget, _SMALLEST_BUDGET)
        self._side: Sender | Receiver
        if role.fetches:
            self._side = Sender(config, name, budget // 2)
        else:
            self._side = Receiver(config, name, budget // 3)
        self._closed = False

    def connect(self) -> None:
        self._side.open()

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        if not isinstance(self._side, Sender) or self._closed:
            raise QueueError("only the producer of the queue can put, and only while it is open")
        return self._side.put(message, timeout)

    def get(self, timeout: float) -> "QueueMessage | None":
        return self._consuming().get(timeout)

    def ack(self, job_id: str, to_iteration: int) -> None:
        self._consuming().ack(job_id, to_iteration)

    def discard(self, message: "QueueMessage") -> None:
        self._consuming().discard(message.tag)

    def flush(self, timeout: float) -> bool:
        return not isinstance(self._side, Sender) or self._closed or self._side.flush(timeout)

    def abandon(self) -> None:
        if isinstance(self._side, Sender):
            self._side.abandon()

    @property
    def is_stalled(self) -> bool:
        return isinstance(self._side, Sender) and self._side.is_stalled

    def is_drained(self) -> bool:
        return self._consuming().is_drained()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._side.close()

    def _consuming(self) -> Receiver:
        if not isinstance(self._side, Receiver) or self._closed:
            raise QueueError("only the consumer of the queue can get and acknowledge, and only while it is open")
        return self._side
