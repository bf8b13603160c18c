"""Configuration of the queue in a Kafka topic."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel
from bizon.engine.queue.config import AbstractQueueConfig, AbstractQueueConfigDetails, QueueConsumerConfig, QueueTypes

_OWN_FIELD = {
    "bootstrap.servers": "queue.bootstrap_server",
    "metadata.broker.list": "queue.bootstrap_server",
    "security.protocol": "queue.security_protocol",
    "sasl.mechanism": "queue.sasl_mechanism",
    "sasl.mechanisms": "queue.sasl_mechanism",
    "sasl.username": "queue.sasl_username",
    "sasl.password": "queue.sasl_password",
    "ssl.ca.location": "queue.ssl_ca_location",
    "message.max.bytes": "queue.max_message_size",
    "message.copy.max.bytes": "queue.max_message_size",
    "batch.size": "queue.max_message_size",
    "group.id": "consumer.group_id",
    "auto.offset.reset": "consumer.auto_offset_reset",
}
_GUARANTEES = frozenset(
    {
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "retries",
        "message.send.max.retries",
        "queuing.strategy",
        "transactional.id",
        "enable.auto.commit",
        "auto.commit.enable",
        "auto.commit.interval.ms",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "offset.store.method",
        "group.instance.id",
        "group.protocol",
        "partition.assignment.strategy",
    }
)
_MEMORY = ("queue.buffering.max.", "queued.", "fetch.max.bytes", "fetch.message.max.bytes", "max.partition.fetch.bytes")
_CODE = ("_cb", "on_commit", "on_delivery", "logger", "plugin.library.paths", "interceptors", "opaque")
_SECRET = ("password", "secret", "pem", "token")


class SecurityProtocol(StrEnum):
    """Value of ``queue.security_protocol``."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class KafkaQueueConfig(StrictModel):
    """``engine.queue.config.queue``: the brokers and the topic."""

    bootstrap_server: str = Field(
        min_length=1, description="Brokers to connect to first: host:port, or several separated by commas."
    )
    topic: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Topic, for this pipeline alone; null = a name derived from pipeline, source and stream. Created "
        "with one partition when missing; in a topic with more, only partition 0 is used. The topic's retention "
        "(retention.ms, retention.bytes) must keep messages until the consumer has committed them; nothing removes "
        "them sooner.",
    )
    replication_factor: int = Field(
        default=-1, ge=-1, description="Replicas of a created topic; -1 = the broker's default.replication.factor."
    )
    max_message_size: int = Field(
        default=900_000,
        ge=10_000,
        le=100_000_000,
        description="Bytes of one message; larger pages travel in pieces. Must stay some kB below the broker's "
        "message.max.bytes and the topic's max.message.bytes, which are 1 MB unless changed.",
    )
    security_protocol: SecurityProtocol = Field(
        default=SecurityProtocol.PLAINTEXT, description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_mechanism: str | None = Field(
        default=None, description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, ...; null = PLAIN with SASL."
    )
    sasl_username: str | None = Field(default=None, description="User for PLAIN and SCRAM.")
    sasl_password: SecretText | None = Field(default=None, description="Password for PLAIN and SCRAM.")
    ssl_ca_location: str | None = Field(
        default=None, description="File with the certificate authorities to trust; null = the machine's."
    )
    librdkafka: dict[str, str | int | float | bool] = Field(
        default={},
        description="Further settings of the Kafka client, by librdkafka's names, for both sides. Settings that the "
        "guarantees and the bounds on memory depend on are refused, and settings with their own key here.",
    )
    librdkafka_secrets: dict[str, SecretText] = Field(
        default={}, description="The same for secret settings, such as ssl.key.password."
    )

    @field_validator("librdkafka", "librdkafka_secrets")
    @classmethod
    def _only_what_is_safe(cls, settings: dict[str, object]) -> dict[str, object]:
        for name in settings:
            if reason := _refusal(name):
                raise ValueError(f"'{name}' cannot be set: {reason}")
        return settings

    @field_validator("librdkafka")
    @classmethod
    def _no_secret_in_the_open(cls, settings: dict[str, object]) -> dict[str, object]:
        for name in settings:
            if any(word in name for word in _SECRET) and not name.endswith(".location"):
                raise ValueError(
                    f"'{name}' looks like a secret: put it under librdkafka_secrets, which logs do not show"
                )
        return settings

    @model_validator(mode="after")
    def _sasl_is_on_when_it_is_set_up(self) -> "KafkaQueueConfig":
        given = self.sasl_mechanism or self.sasl_username or self.sasl_password
        if given and not self.security_protocol.startswith("SASL"):
            raise ValueError("sasl_... has no effect unless security_protocol is SASL_PLAINTEXT or SASL_SSL")
        return self


class KafkaConsumerConfig(QueueConsumerConfig):
    """``engine.queue.config.consumer``."""

    group_id: str | None = Field(
        default=None,
        min_length=1,
        description="Consumer group that keeps the offset, for this pipeline alone; null = the topic's default name.",
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        default="earliest",
        description="Where to start when the group has no offset yet. With latest, the consumer skips pages that the "
        "producer sent before its first start, and then stops because they are missing.",
    )
    enable_auto_commit: bool = Field(
        default=False,
        description="Must be false: offsets are committed when the destination has committed the pages. Other releases "
        "of this format default to true, with which a dying consumer loses pages.",
    )
    consumer_timeout_ms: int = Field(
        default=1000, ge=10, le=2**31 - 1, description="Milliseconds; longest wait of one poll."
    )

    @field_validator("enable_auto_commit")
    @classmethod
    def _offsets_follow_the_destination(cls, value: bool) -> bool:
        if value:
            raise ValueError(
                "must be false: an offset that is committed before the destination has the pages loses them when the "
                "run dies; remove the key, offsets are committed after each write"
            )
        return value


class KafkaConfigDetails(AbstractQueueConfigDetails):
    """``engine.queue.config`` of a Kafka queue."""

    max_nb_messages: int = Field(
        default=1_000_000, ge=1, description="Records that may be in flight to the broker, not confirmed yet."
    )
    max_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of messages that may be in flight to the broker, not confirmed yet; null = buffer_size.",
    )
    queue: KafkaQueueConfig = Field(description="Brokers and topic.")
    consumer: KafkaConsumerConfig = Field(
        default_factory=KafkaConsumerConfig, description="How the consumer reads and where it keeps its offset."
    )


class KafkaConfig(AbstractQueueConfig):
    """``engine.queue: {type: kafka}``: pages wait in a Kafka topic."""

    is_broker: ClassVar[bool] = True

    type: Literal[QueueTypes.KAFKA] = Field(description="kafka")
    config: KafkaConfigDetails = Field(description="Settings.")


def _refusal(name: str) -> str | None:
    """Why a setting of librdkafka is refused, None if it is allowed."""
    if name in _OWN_FIELD:
        return f"use engine.queue.config.{_OWN_FIELD[name]}"
    if name in _GUARANTEES:
        return "the guarantees of the queue depend on it"
    if name.startswith(_MEMORY):
        return "it follows from buffer_size and max_bytes, which bound the memory"
    if name.endswith(_CODE):
        return "it takes code, not a value"
    return None
