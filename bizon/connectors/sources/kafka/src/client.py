"""The consumer of librdkafka: its settings, what its errors mean, and how it is asked for messages."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.common.secret import Secret
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.connectors.sources.kafka.src.troubles import Troubles

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""

_log = logging.getLogger(__name__)  # librdkafka takes no other kind
REQUEST_TIMEOUT = 10.0  # seconds; for what the broker is asked beside messages
_PASSING = (  # librdkafka goes on trying by itself
    "_ALL_BROKERS_DOWN _ASSIGNMENT_LOST _MAX_POLL_EXCEEDED _RESOLVE _TIMED_OUT _TRANSPORT _WAIT_COORD "
    "COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR REBALANCE_IN_PROGRESS REQUEST_TIMED_OUT"
)
_EVICTED = (
    "_FATAL _FENCED FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH ILLEGAL_GENERATION STALE_MEMBER_EPOCH UNKNOWN_MEMBER_ID"
)
_PASSING_CODES = frozenset(getattr(KafkaError, name) for name in _PASSING.split())
_EVICTED_CODES = frozenset(getattr(KafkaError, name) for name in _EVICTED.split())
_END_OF_PARTITION = -191  # _PARTITION_EOF
_ASTRAY_CODES = frozenset(getattr(KafkaError, name) for name in ("_AUTO_OFFSET_RESET", "_LOG_TRUNCATION", "_NO_OFFSET"))


class Client:
    """Makes consumers, and remembers what librdkafka last complained about. Used on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig) -> None:
        self._config = config
        self._complaint = ""
        self._troubles = Troubles()

    def consumer(self, **settings: Any) -> Consumer:
        """A new consumer, not connected yet. Raises SourceConnectionError when librdkafka refuses a setting."""
        try:
            return Consumer(
                without_empty({**settings_of(self._config), **settings, "error_cb": self._note}), logger=_log
            )
        except KafkaException as error:
            raise SourceConnectionError(f"consumer_config: {text_of(error)}") from None

    def partitions(self, consumer: Consumer, topic: str) -> list[int]:
        """The partitions of a topic. Raises SourceConnectionError when it is not there or nobody answers."""
        try:
            found = consumer.list_topics(topic, timeout=REQUEST_TIMEOUT).topics[topic]
        except KafkaException as error:
            consumer.poll(0)  # brings the complaints
            where = f"brokers {self._config.bootstrap_servers} do not answer"
            raise SourceConnectionError(": ".join(filter(None, (where, text_of(error), self._complaint)))) from None
        if found.error is not None:
            raise SourceConnectionError(f"topic '{topic}': {found.error.str()}")
        return sorted(found.partitions)

    @property
    def settings(self) -> dict[str, Any]:
        """Those of a consumer, for a client of another kind, which would call back on a thread of its own."""
        return without_empty(settings_of(self._config))

    @property
    def complaint(self) -> str:
        """What librdkafka last reported beside the messages, or empty."""
        return self._complaint

    def heard(self) -> None:
        """Messages arrive: what was wrong is over."""
        self._complaint = ""
        self._troubles.over()

    def trouble(self, error: KafkaError, text: str) -> None:
        """Something failed that will be tried again."""
        self._troubles.note("unreachable" if is_passing(error) else str(error.name()), text)

    def _note(self, error: KafkaError) -> None:
        self._complaint = error.str()
        self.trouble(error, self._complaint)


def split_errors(messages: list[Message], on_error: Callable[[Message, KafkaError], None]) -> list[Message]:
    """The messages that are some; events among them go to ``on_error``."""
    errors = [message.error() for message in messages]
    if not any(errors):
        return messages
    for message, error in zip(messages, errors, strict=True):
        if error is not None:
            on_error(message, error)
    return [message for message, error in zip(messages, errors, strict=True) if error is None]


def error_of(error: KafkaException) -> KafkaError:
    """What librdkafka says inside an exception."""
    inner: KafkaError = error.args[0]
    return inner


def text_of(error: KafkaException) -> str:
    """The same in words."""
    return error_of(error).str()


def is_eviction(error: KafkaError) -> bool:
    """The group goes on without this consumer, which cannot come back as it is."""
    return error.fatal() or error.code() in _EVICTED_CODES


def is_end(error: KafkaError) -> bool:
    """No error: all of a partition has been fetched."""
    return error.code() == _END_OF_PARTITION


def is_astray(error: KafkaError) -> bool:
    """The broker does not have the offset that is to be read next."""
    return error.code() in _ASTRAY_CODES


def is_passing(error: KafkaError) -> bool:
    """It may be over by itself."""
    return error.retriable() or error.code() in _PASSING_CODES


def is_cooperative(settings: Mapping[str, Any]) -> bool:
    """Partitions come and go one by one, not all at once."""
    strategy = str(settings.get("partition.assignment.strategy", ""))
    return "cooperative" in strategy or settings.get("group.protocol") == "consumer"


def go_on_at(
    consumer: Consumer, assigned: Mapping[Partition, int], moved: Mapping[Partition, int], *, cooperative: bool
) -> None:
    """Read the ``moved`` among the ``assigned`` partitions from other offsets."""
    wanted = [TopicPartition(*key, offset) for key, offset in (moved if cooperative else assigned).items()]
    if not cooperative:
        consumer.assign(wanted)
        return
    consumer.incremental_unassign(wanted)
    consumer.incremental_assign(wanted)


def fetch_error(what: str, error: KafkaError) -> SourceFetchError:
    """An error that ends the run."""
    return SourceFetchError(f"kafka: {what}: {error.str()}")


def settings_of(config: KafkaSourceConfig) -> dict[str, Any]:
    """What librdkafka is given, passwords in clear."""
    own: dict[str, Any] = {"log_level": 0, **config.settings}  # what matters of the log comes through error_cb
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
    """Settings without those that are to be left to librdkafka."""
    return {key: value for key, value in settings.items() if value != ""}
