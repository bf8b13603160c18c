"""The interface of the queue between producer and consumer."""

from abc import ABC, abstractmethod
from typing import Any

from bizon.engine.queue.config import AbstractQueueConfigDetails, QueueTypes
from bizon.engine.queue.models import QueueMessage


class AbstractQueue(ABC):
    """Carries pages from one producer to one consumer. Knows nothing of what is in them.

    ``put`` is called by the producer; ``get``, ``ack`` and ``settle`` by the consumer, perhaps in another process or on
    another host. Pages arrive at least once and in the order they were put; a broker that was cut off may deliver some
    again, which the consumer recognises.
    """

    def __init__(self, config: AbstractQueueConfigDetails) -> None:
        self.config = config

    @abstractmethod
    def connect(self) -> None:
        """Open connections. Called once by each side, in its own thread or process, before anything else."""

    @abstractmethod
    def put(self, message: QueueMessage, timeout: float) -> bool:
        """Append a message. Waits at most ``timeout`` seconds for room; False when there was none: try again.

        A message larger than the whole queue is accepted when the queue is empty, so that it cannot block for ever.
        Raises :class:`~bizon.common.errors.errors.QueueError` when the other side is gone.
        """

    @abstractmethod
    def get(self, timeout: float) -> QueueMessage | None:
        """The next message, or None after ``timeout`` seconds without one.

        Raises :class:`~bizon.common.errors.errors.QueueError` when the other side is gone and nothing is left.
        """

    @abstractmethod
    def ack(self, job_id: str, to_iteration: int) -> None:
        """The pages up to ``to_iteration`` are committed in the destination; the queue may forget them."""

    def discard(self, message: QueueMessage) -> None:
        """A message that ``get`` returned is of no further use: an end that was acted on, a page of another job, of an
        older epoch, or one that came before. The default does nothing; a broker's queue lets it be forgotten."""
        return None

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until all that was put is safe; False: not yet. Called by the producer when
        it has put the end. Raises :class:`~bizon.common.errors.errors.QueueError` when it never will be."""
        return True

    def abandon(self) -> None:
        """What was put and is not safe yet need not arrive any more: from now on nothing waits for it."""
        return None

    @property
    def is_stalled(self) -> bool:
        """For the producer: True while a broker takes nothing, and nobody knows for how long."""
        return False

    def is_drained(self) -> bool:
        """For the consumer: True when a broker says that it has nothing that ``get`` did not return. Asked repeatedly,
        as an answer may be a little old."""
        return False

    @abstractmethod
    def close(self) -> None:
        """This side is done; a queue inside a run lets the other side notice. What was put is on its way by then: with
        a broker, confirmed by it. Idempotent."""


class QueueFactory:
    """Builds the queue a config names. Imports its module only then."""

    @staticmethod
    def get_queue(config: Any, **kwargs: Any) -> AbstractQueue:
        """A queue that is not connected yet. ``config`` is an AbstractQueueConfig of any adapter; ``kwargs`` are the
        runner's: ``budget``, the bytes of pages that may wait unacknowledged in memory; for queues inside the run
        ``spool``; for brokers ``end``, the half that will hold it, and ``stream``, the StreamKey that names of queues
        and topics derive from."""
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
