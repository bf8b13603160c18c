"""Configuration of the RabbitMQ queue."""

from typing import ClassVar, Literal

from pydantic import Field

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.engine.queue.config import AbstractQueueConfig, AbstractQueueConfigDetails, QueueTypes


class RabbitMQTLSConfig(StrictModel):
    """``engine.queue.config.queue.tls``: files for TLS. The server's certificate is always checked."""

    ca_file: str | None = Field(default=None, description="Certificates to trust, PEM; null = the machine's.")
    cert_file: str | None = Field(
        default=None, description="Certificate of this client, PEM, if the broker asks for one."
    )
    key_file: str | None = Field(default=None, description="Key of cert_file, PEM; null = it is in cert_file.")


class RabbitMQQueueConfig(StrictModel):
    """``engine.queue.config.queue``."""

    host: str = Field(min_length=1, description="Host of the broker.")
    port: int = Field(default=5672, ge=1, le=65535, description="Port of the broker; with TLS usually 5671.")
    queue_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Queue at the broker, for one stream of one pipeline alone; null = named after pipeline, source "
        "and stream. It is created when missing, and stays after the run; `rabbitmqctl delete_queue` removes it.",
    )
    exchange: str = Field(
        default="",
        max_length=255,
        description="Exchange to publish to, which must exist; the queue is bound to it by its own name. Empty = the "
        "default exchange.",
    )
    username: str = Field(default="guest", description="User.")
    password: SecretText = Field(default="guest", description="Password.")
    virtual_host: str = Field(default="/", min_length=1, description="Virtual host.")
    tls: bool | RabbitMQTLSConfig = Field(
        default=False,
        description="true = encrypted, with the machine's trusted certificates; a block names files.",
    )
    heartbeat: int = Field(
        default=30,
        ge=1,
        le=60,
        description="Seconds between heartbeats. A broker gives up a silent client after two to three of them, and "
        "only then delivers its messages again.",
    )
    max_message_size: int = Field(
        default=4 * 1024 * 1024,
        ge=64 * 1024,
        le=128 * 1024 * 1024,
        description="Bytes of one message; larger pages travel in pieces. At most what the broker accepts "
        "(`max_message_size` there: 128 MB, 16 MB from RabbitMQ 4).",
    )


class RabbitMQConfigDetails(AbstractQueueConfigDetails):
    """``engine.queue.config`` of the RabbitMQ queue."""

    max_bytes: int | None = Field(
        default=None,
        ge=64 * 1024,
        description="Bytes that may wait at the broker, compressed; null = only the broker's own limit. An existing "
        "queue keeps its limit: delete it to change this.",
    )
    queue: RabbitMQQueueConfig = Field(description="The broker and the queue.")


class RabbitMQConfig(AbstractQueueConfig):
    """``engine.queue: {type: rabbitmq}``: pages wait in a durable queue at a broker."""

    is_broker: ClassVar[bool] = True

    type: Literal[QueueTypes.RABBITMQ] = Field(description="rabbitmq")
    config: RabbitMQConfigDetails = Field(description="Settings.")
