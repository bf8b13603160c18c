"""The consumer of librdkafka: its settings, and requests for messages."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bizon.common.errors.errors import SourceConnectionError
from bizon.common.secret import Secret
from bizon.connectors.sources.kafka.src.client_errors import is_transient, text_of
from bizon.connectors.sources.kafka.src.repeated_errors import RepeatedErrors

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""
_log = logging.getLogger(__name__)  # librdkafka takes no other kind of logger
REQUEST_TIMEOUT = 10.0  # seconds; for requests other than fetches


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
