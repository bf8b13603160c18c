"""Configuration of the ``kafka`` source."""

import re
import socket
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from bizon.common.errors.errors import ConfigError
from bizon.common.secret import Secret, SecretText
from bizon.config.strict import MOST_SECONDS, StrictModel
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig

if TYPE_CHECKING:
    from bizon.config.streams import StreamConfig

ConsumerSetting = bool | int | float | str

CONSUMER_DEFAULTS: dict[str, ConsumerSetting] = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "session.timeout.ms": 45_000,
    "security.protocol": "SASL_SSL",
    "max.poll.interval.ms": 600_000,
}
LEGACY_GROUP = "bizon"  # the default group_id of older releases, for all pipelines
_OWN_KEYS = {  # set by the source itself -> what to write instead
    "bootstrap.servers": "source.bootstrap_servers",
    "group.id": "source.group_id",
    "sasl.username": "authentication.params.username",
    "sasl.password": "authentication.params.password",
    "enable.partition.eof": "nothing: the source sets it",
    "enable.auto.offset.store": "nothing: the source sets it",
}
_SECRET_KEYS = re.compile(r"password|secret|\.key\.pem|oauthbearer\.config")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaStreams(StrEnum):
    """Streams of the source."""

    TOPIC = "topic"


class MessageEncoding(StrEnum):
    """The encoding of message values."""

    AVRO = "avro"
    UTF_8 = "utf-8"
    BYTES = "bytes"


class OnDataLoss(StrEnum):
    """How a run responds when unread messages were removed."""

    FAIL = "fail"
    WARN = "warn"


class SchemaRegistryType(StrEnum):
    """The kind of a schema registry, which decides its paths."""

    APICURIO = "apicurio"
    CONFLUENT = "confluent"


class KafkaTopicConfig(StrictModel):
    """One topic to read."""

    name: str = Field(description="Name of the topic; not a pattern.")
    destination_id: str | None = Field(
        default=None,
        min_length=1,
        description="Table of its records in sync mode stream; default the destination_id of the destination.",
    )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _TOPIC_NAME.fullmatch(value) or value in (".", ".."):
            raise ValueError("is not a topic name: up to 249 letters, digits, dots, underscores and dashes, no pattern")
        return value


class KafkaAuthConfig(AuthConfig):
    """SASL/PLAIN and the schema registry. Without ``params`` there is no SASL."""

    type: Literal[AuthType.BASIC] = Field(default=AuthType.BASIC, description="basic.")
    params: BasicHttpAuthParams | None = Field(  # type: ignore[assignment]
        default=None, description="User name and password of SASL/PLAIN; absent = no SASL."
    )
    schema_registry_type: SchemaRegistryType = Field(
        default=SchemaRegistryType.APICURIO,
        description="apicurio = <url>/apis/registry/v2/ids/globalIds/<id> | confluent = <url>/schemas/ids/<id>.",
    )
    schema_registry_url: str = Field(
        default="", description="URL of the schema registry, without the path; required for message_encoding avro."
    )
    schema_registry_username: str = Field(default="", description="User of the registry; empty = no authentication.")
    schema_registry_password: SecretText = Field(default="", description="Password of the registry.")

    @field_validator("schema_registry_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")


class KafkaSourceConfig(SourceConfig):
    """``source: {name: kafka}``: the messages of topics, as an endless stream or from start to end."""

    topics: tuple[KafkaTopicConfig, ...] = Field(
        default=(),
        validate_default=True,
        description="Topics to read, at least one; default the topics of the top-level `streams`.",
    )
    bootstrap_servers: str = Field(min_length=1, description="Brokers to connect to first: `host:port,host:port`.")
    group_id: str | None = Field(
        default=None,
        min_length=1,
        description="Consumer group, which keeps the offsets of sync mode stream; null = a group of this pipeline, "
        "named after pipeline, source and stream.",
    )
    on_data_loss: OnDataLoss = Field(
        default=OnDataLoss.FAIL,
        description="When messages were removed before they were read, by retention or with their topic: fail = end "
        "the run and name them in the error | warn = count them in the log and continue with the first message left.",
    )
    skip_message_empty_value: bool = Field(
        default=True,
        description="Skip messages without a value (tombstones); false = deliver them with the value null. An empty "
        "text is a value.",
    )
    skip_message_invalid_keys: bool = Field(
        default=False, description="Skip messages whose key is not valid JSON; false = deliver the key as text."
    )
    skip_message_on_decode_error: bool = Field(
        default=False,
        description="Skip messages that cannot be decoded, and count them in the log; false = `on_error` decides.",
    )
    batch_size: int = Field(default=100, ge=1, le=1_000_000, description="Messages per page, at most.")
    consumer_timeout: float = Field(
        default=10,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds to wait for messages; the page does not wait for more once some have arrived.",
    )
    consumer_config: dict[str, ConsumerSetting] = Field(
        default={},
        validate_default=True,
        description="Settings of librdkafka; they override these defaults: "
        + ", ".join(
            f"{key} {str(value).lower() if value is False else value}" for key, value in CONSUMER_DEFAULTS.items()
        )
        + ", group.instance.id <group_id>-<host name> (empty = no static membership; empty with --join).",
    )
    message_encoding: MessageEncoding = Field(
        default=MessageEncoding.AVRO,
        validate_default=True,
        description="avro = decoded by its schema in the registry | utf-8 = JSON, else text | bytes = base64.",
    )
    authentication: KafkaAuthConfig | None = Field(
        default=None,
        description="SASL/PLAIN and the schema registry. Set security.protocol when the brokers do not use SASL.",
    )

    @classmethod
    def filled_from_streams(cls, block: Mapping[str, Any], streams: Sequence["StreamConfig"]) -> Mapping[str, Any]:
        if block.get("topics"):
            return block
        topics = []
        for number, stream in enumerate(streams):
            if stream.source.topic is None:
                raise ConfigError("the kafka source needs `topic`", key=("streams", number, "source"))
            topics.append({"name": stream.source.topic, "destination_id": stream.destination.table_id})
        return {**block, "topics": topics}

    @field_validator("topics")
    @classmethod
    def _each_topic_once(cls, value: tuple[KafkaTopicConfig, ...]) -> tuple[KafkaTopicConfig, ...]:
        if not value:
            raise ValueError("needs at least one topic, or the pipeline `streams` with a topic each")
        names = [topic.name for topic in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"topic '{twice}' is listed twice")
        return value

    @field_validator("consumer_config")
    @classmethod
    def _settings_are_free(cls, value: dict[str, ConsumerSetting]) -> dict[str, ConsumerSetting]:
        taken = next((key for key in value if key in _OWN_KEYS), None)
        if taken is not None:
            raise ValueError(f"'{taken}' cannot be set here; use {_OWN_KEYS[taken]}")
        if str(value.get("enable.auto.commit", False)).lower() != "false":
            raise ValueError("'enable.auto.commit' must stay false: offsets are committed once their messages are safe")
        return {
            key: Secret(each) if isinstance(each, str) and _SECRET_KEYS.search(key) else each
            for key, each in value.items()
        }

    @field_validator("consumer_config")
    @classmethod
    def _security_fits(cls, value: dict[str, ConsumerSetting], info: ValidationInfo) -> dict[str, ConsumerSetting]:
        found = info.data.get("authentication")
        has_user = found is not None and found.params is not None
        is_sasl = str({**CONSUMER_DEFAULTS, **value}["security.protocol"]).upper().startswith("SASL")
        if is_sasl and not has_user and not any(key.startswith("sasl.") for key in value):
            raise ValueError(
                "security.protocol is SASL_SSL by default, which needs authentication.params; set it to PLAINTEXT or "
                "SSL when the brokers have no users"
            )
        if has_user and not is_sasl:
            raise ValueError(
                "authentication.params are for SASL, but this security.protocol is not SASL: set it to SASL_SSL, or "
                "remove params"
            )
        return value

    @field_validator("message_encoding")
    @classmethod
    def _registry_is_there(cls, value: MessageEncoding, info: ValidationInfo) -> MessageEncoding:
        found = info.data.get("authentication")
        if value is MessageEncoding.AVRO and not (found and found.schema_registry_url):
            raise ValueError("this encoding needs authentication.schema_registry_url; utf-8 and bytes need no registry")
        return value

    @property
    def group(self) -> str:
        """The consumer group: the configured one, or the pipeline's own."""
        return self.group_id or self.pipeline_id or LEGACY_GROUP

    def of_member(self) -> Self:
        """This configuration for one of several members: dynamic, unless ``consumer_config`` says otherwise. A member
        that leaves then hands its partitions over at once, and two members on one host are not taken for one."""
        copy = self.model_copy(update={"consumer_config": {"group.instance.id": "", **self.consumer_config}})
        return copy.of_pipeline(self.pipeline_id)

    @property
    def settings(self) -> dict[str, ConsumerSetting]:
        """The defaults, overridden by ``consumer_config``."""
        return {
            **CONSUMER_DEFAULTS,
            "group.instance.id": f"{self.group}-{socket.gethostname()}",
            **self.consumer_config,
        }
