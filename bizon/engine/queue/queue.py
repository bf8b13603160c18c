"""The interface of the queue between producer and consumer."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from bizon.engine.queue.config import AbstractQueueConfigDetails, QueueTypes

if TYPE_CHECKING:
    from bizon.engine.queue.models import QueueMessage


class AbstractQueue(ABC):
    """Carries pages from one producer to one consumer, without looking into them.

    The producer calls ``put``; the consumer calls ``get``, ``ack`` and ``discard``, perhaps in another process or on
    another host. Pages arrive at least once and in order. After a lost connection a broker may deliver some again, and
    the consumer skips them.
    """

    def __init__(self, config: AbstractQueueConfigDetails) -> None:
        self.config = config

    @abstractmethod
    def connect(self) -> None:
        """Open connections. Each role calls it once, on its own thread or in its own process, before anything else."""

    @abstractmethod
    def put(self, message: "QueueMessage", timeout: float) -> bool:
        """Append a message. Waits at most ``timeout`` seconds for room; False when there was none, and the caller
        retries.

        An empty queue accepts a message larger than its bounds, which would otherwise block forever.
        Raises :class:`~bizon.common.errors.errors.QueueError` when the other side is gone.
        """

    @abstractmethod
    def get(self, timeout: float) -> "QueueMessage | None":
        """The next message, or None after ``timeout`` seconds without one.

        Raises :class:`~bizon.common.errors.errors.QueueError` when the other side is gone and nothing is left.
        """

    @abstractmethod
    def ack(self, job_id: str, to_iteration: int) -> None:
        """The destination has committed the pages up to ``to_iteration``; the queue may forget them."""

    def discard(self, message: "QueueMessage") -> None:
        """The consumer no longer needs a message from ``get``: a handled end, a page of another job or an older epoch,
        or a repeat. The default does nothing; a broker's queue acknowledges it."""
        return None

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until all messages are safe; False when some are not yet. The producer calls
        it after it has put the end. Raises :class:`~bizon.common.errors.errors.QueueError` when they never will be."""
        return True

    def abandon(self) -> None:
        """Give up messages that are not safe yet: from now on nothing waits for them."""
        return None

    @property
    def is_stalled(self) -> bool:
        """For the producer: True while a broker accepts nothing, for an unknown time."""
        return False

    def is_drained(self) -> bool:
        """For the consumer: True when a broker reports that ``get`` has returned all messages. The consumer asks
        repeatedly, since an answer may be a little old."""
        return False

    @abstractmethod
    def close(self) -> None:
        """This side is done. A queue inside a run lets the other side notice; a broker's queue returns once the broker
        has confirmed all messages. Idempotent."""


class QueueFactory:
    """Builds the queue that a config names, and imports its module only then."""

    @staticmethod
    def get_queue(config: Any, **kwargs: Any) -> AbstractQueue:
        """A queue that is not connected yet. ``config`` is an AbstractQueueConfig of any adapter. ``kwargs`` come from
        the runner: ``budget``, the bytes of pages that may wait unacknowledged in memory; ``spool`` for queues inside
        the run; for brokers ``role``, the side that will hold it, and ``stream``, the StreamKey from which the names of
        queues and topics derive."""
        if config.type == QueueTypes.PYTHON_QUEUE:
            from bizon.engine.queue.adapters.python_queue.queue import PythonQueue

            return PythonQueue(config=config.config, **kwargs)

        if config.type == QueueTypes.KAFKA:
            from bizon.engine.queue.adapters.kafka.queue import KafkaQueue

            return KafkaQueue(config=config.config, **kwargs)

        if config.type == QueueTypes.RABBITMQ:
            from bizon.engine.queue.adapters.rabbitmq.queue import RabbitMQQueue

            return RabbitMQQueue(config=config.config, **kwargs)

        raise ValueError(f"queue type '{config.type}' has no branch in QueueFactory.get_queue")
