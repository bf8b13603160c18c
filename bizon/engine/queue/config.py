"""The ``engine.queue`` block: the parts every queue shares."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from bizon.config.strict import MOST_SECONDS, StrictModel


class QueueTypes(StrEnum):
    """Value of ``engine.queue.type``."""

    PYTHON_QUEUE = "python_queue"
    KAFKA = "kafka"
    RABBITMQ = "rabbitmq"


class QueueConsumerConfig(StrictModel):
    """``engine.queue.config.consumer``."""

    poll_interval: float = Field(
        default=1,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds; longest wait for a page before the consumer checks its deadlines.",
    )


class AbstractQueueConfigDetails(StrictModel):
    """``engine.queue.config``: bounds of the queue. ``put`` waits while one of them is reached."""

    max_nb_messages: int = Field(default=1_000_000, ge=1, description="Records that may wait in the queue.")
    max_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of records that may wait in the queue; null = queue and buffer together hold at most "
        "twice buffer_size, at least 16 MB.",
    )
    consumer: QueueConsumerConfig = Field(default_factory=QueueConsumerConfig, description="How the consumer waits.")


class AbstractQueueConfig(StrictModel):
    """The ``engine.queue`` block; each adapter narrows ``type`` and ``config``.

    ``is_broker``: pages leave the run, each role has its own instance, and producer and consumer may run on two hosts.
    """

    is_broker: ClassVar[bool] = False

    type: QueueTypes = Field(description="Queue between producer and consumer.")
    config: AbstractQueueConfigDetails = Field(description="Settings of the queue.")
