"""The consumer of librdkafka: its settings, the meaning of its errors, and requests for messages."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.common.secret import Secret
from bizon.connectors.sources.kafka.src.repeated_errors import RepeatedErrors

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""

_log = logging.getLogger(__name__)  # librdkafka takes no other kind of logger
REQUEST_TIMEOUT = 10.0  # seconds; for requests other than fetches
_TRANSIENT = (  # librdkafka retries by itself
    "_ALL_BROKERS_DOWN _ASSIGNMENT_LOST _MAX_POLL_EXCEEDED _RESOLVE _TIMED_OUT _TRANSPORT _WAIT_COORD "
    "COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR REBALANCE_IN_PROGRESS REQUEST_TIMED_OUT"
)
_EVICTED = (
    "_FATAL _FENCED FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH ILLEGAL_GENERATION STALE_MEMBER_EPOCH UNKNOWN_MEMBER_ID"
)
_OUT_OF_RANGE = "_AUTO_OFFSET_RESET _LOG_TRUNCATION _NO_OFFSET"


def _codes(names: str) -> frozenset[int]:
    return frozenset(getattr(KafkaError, name) for name in names.split())


_TRANSIENT_CODES, _EVICTED_CODES, _OUT_OF_RANGE_CODES = _codes(_TRANSIENT), _codes(_EVICTED), _codes(_OUT_OF_RANGE)
_END_OF_PARTITION = -191  # _PARTITION_EOF


class Client:
    """Creates consumers, and keeps the last error that librdkafka reported. Used on the thread that fetches."""

    def __init__(self, config: "KafkaSourceConfig") -> None:
        self._config = config
        self._last_error = ""
        self._repeated_errors = RepeatedErrors()

    def consumer(self, **settings: Any) -> Consumer:
        """A new consumer, not connected yet. Raises SourceConnectionError when librdkafka refuses a setting."""
        try:
            return Consumer(
                without_empty({**settings_of(self._config), **settings, "error_cb": self._on_error}), logger=_log
            )
        except KafkaException as error:
            raise SourceConnectionError(f"consumer_config: {text_of(error)}") from None

    def partitions(self, consumer: Consumer, topic: str) -> list[int]:
        """The partitions of a topic. Raises SourceConnectionError when the topic does not exist or no broker
        answers."""
        try:
            found = consumer.list_topics(topic, timeout=REQUEST_TIMEOUT).topics[topic]
        except KafkaException as error:
            consumer.poll(0)  # calls error_cb
            where = f"brokers {self._config.bootstrap_servers} do not answer"
            raise SourceConnectionError(": ".join(filter(None, (where, text_of(error), self._last_error)))) from None
        if found.error is not None:
            raise SourceConnectionError(f"topic '{topic}': {found.error.str()}")
        return sorted(found.partitions)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a consumer without its callback, which an admin client would call on its own thread."""
        return without_empty(settings_of(self._config))

    @property
    def last_error(self) -> str:
        """The last error that librdkafka reported since messages arrived; empty without one."""
        return self._last_error

    def recovered(self) -> None:
        """Messages arrive: all errors are over."""
        self._last_error = ""
        self._repeated_errors.recovered()

    def report(self, error: KafkaError, text: str) -> None:
        """Log an error after which the source retries."""
        self._repeated_errors.add("unreachable" if is_transient(error) else str(error.name()), text)

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error.str()
        self.report(error, self._last_error)


def split_errors(messages: list[Message], on_error: Callable[[Message, KafkaError], None]) -> list[Message]:
    """The messages without the events among them, which go to ``on_error``."""
    errors = [message.error() for message in messages]
    if not any(errors):
        return messages
    for message, error in zip(messages, errors, strict=True):
        if error is not None:
            on_error(message, error)
    return [message for message, error in zip(messages, errors, strict=True) if error is None]


def error_of(error: KafkaException) -> KafkaError:
    """The error of librdkafka inside an exception."""
    inner: KafkaError = error.args[0]
    return inner


def text_of(error: KafkaException) -> str:
    """The same error in words."""
    return error_of(error).str()


def is_eviction(error: KafkaError) -> bool:
    """The group has removed this consumer, which has to join again."""
    return error.fatal() or error.code() in _EVICTED_CODES


def is_end(error: KafkaError) -> bool:
    """Not an error: the consumer has reached the end of a partition."""
    return error.code() == _END_OF_PARTITION


def is_out_of_range(error: KafkaError) -> bool:
    """The broker does not have the offset to read next."""
    return error.code() in _OUT_OF_RANGE_CODES


def is_transient(error: KafkaError) -> bool:
    """The error may pass without any action."""
    return error.retriable() or error.code() in _TRANSIENT_CODES


def is_cooperative(settings: Mapping[str, Any]) -> bool:
    """Whether a rebalance moves single partitions, and not all at once."""
    strategy = str(settings.get("partition.assignment.strategy", ""))
    return "cooperative" in strategy or settings.get("group.protocol") == "consumer"


def seek(
    consumer: Consumer, assigned: Mapping[Partition, int], moved: Mapping[Partition, int], *, cooperative: bool
) -> None:
    """Read the ``moved`` partitions among the ``assigned`` ones from other offsets."""
    wanted = [TopicPartition(*key, offset) for key, offset in (moved if cooperative else assigned).items()]
    if not cooperative:
        consumer.assign(wanted)
        return
    consumer.incremental_unassign(wanted)
    consumer.incremental_assign(wanted)


def fetch_error(what: str, error: KafkaError) -> SourceFetchError:
    """An error that ends the run."""
    return SourceFetchError(f"kafka: {what}: {error.str()}")


def settings_of(config: "KafkaSourceConfig") -> dict[str, Any]:
    """The settings for librdkafka, with passwords in clear text."""
    own: dict[str, Any] = {"log_level": 0, **config.settings}  # error_cb reports everything that matters
    if config.authentication is not None and config.authentication.params is not None:
        params = config.authentication.params
        own = {"sasl.mechanism": "PLAIN", **own, "sasl.username": params.username, "sasl.password": params.password}
    fixed = {
        "bootstrap.servers": config.bootstrap_servers,
        "group.id": config.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
    }
    return {
        key: each.get_secret_value() if isinstance(each, Secret) else each for key, each in {**own, **fixed}.items()
    }


def without_empty(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without empty values, for which librdkafka uses its defaults."""
    return {key: value for key, value in settings.items() if value != ""}
