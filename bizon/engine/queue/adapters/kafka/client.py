"""The log of a Kafka client, and its errors between calls."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.common.scrub import Scrubber
from bizon.engine.patience import KAFKA_OUTAGE

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.kafka.config import KafkaQueueConfig

OUTAGE = KAFKA_OUTAGE
_FATAL: Any = KafkaError  # a class that can be raised, though its base is not BaseException
_DOUBTFUL = ("_ALL_BROKERS_DOWN", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
_REPEATED = ("FAIL", "ERROR")  # kinds of log lines that bizon logs once in an outage


class ClientEvents:
    """Receives the callbacks of one client: its log goes to loguru, and outages wait here for the next ``check``. The
    client calls it on the thread that polls."""

    def __init__(self, config: "KafkaQueueConfig", clock: Callable[[], float] = monotonic) -> None:
        self._servers = config.bootstrap_server
        self._scrub = Scrubber.of_config(config, patterns=False)
        self._clock = clock
        self._refused: str | None = None
        self._down_since: float | None = None
        self._last = ""
        self._logged: set[str] = set()

    @property
    def is_in_doubt(self) -> bool:
        """True while no broker is reachable, or the topic is missing, by the latest news."""
        return self._down_since is not None

    def alive(self) -> None:
        """The brokers answer and have the topic."""
        if self._down_since is not None:
            logger.info(f"the Kafka brokers at {self._servers} are reachable again")
            self._down_since = None
            self._logged.clear()

    def serve(self, call: Callable[[], Any]) -> Any:
        """The answer of a call that runs callbacks, as ``poll`` does. Raises QueueError when the client fails for good:
        it may then raise an error that ``except Exception`` does not catch, instead of the callback."""
        try:
            return call()
        except (_FATAL, KafkaException, SystemError) as error:  # SystemError: another callback followed
            raise self._failed(error.__cause__ if isinstance(error, SystemError) else error) from None

    def refused(self, what: str, error: KafkaException | BufferError) -> QueueError:
        """The error for a message that the client does not take."""
        inner = error.args[0] if isinstance(error, KafkaException) else None
        if isinstance(inner, KafkaError) and inner.name() == "_FATAL":
            return self._failed(error)
        return QueueError(f"the Kafka client refuses {what}: {self.reason(error)}")

    def _failed(self, error: Any) -> QueueError:
        return QueueError(f"the Kafka client has failed for good: {self.reason(error)}; run again to resume")

    def reason(self, error: Any) -> str:
        """The text of an error, without secrets."""
        inner = error.args[0] if isinstance(error, KafkaException) else error
        text = f"{inner.name()}: {inner.str()}" if isinstance(inner, KafkaError) else str(inner)
        return self._scrub(text)

    def check(self) -> None:
        """Raise QueueError when the brokers have been unreachable for too long."""
        if self._down_since is not None and self._clock() - self._down_since > OUTAGE:
            raise self.unreachable(f"for more than {OUTAGE:.0f} seconds")

    def check_admitted(self) -> None:
        """Raise QueueError when the brokers have refused the client. Only while connecting: later it may be
        temporary."""
        self.check()
        if self._refused is not None:
            raise QueueError(
                f"the Kafka brokers at {self._servers} refuse bizon: {self._refused}; check security_protocol "
                "and the sasl_... and ssl_... keys of engine.queue.config.queue"
            )

    def unreachable(self, since: str) -> QueueError:
        """The error for brokers that do not answer."""
        last = f" ({self._last})" if self._last else ""
        return QueueError(
            f"no Kafka broker has answered at {self._servers} {since}{last}; check that it runs, and bootstrap_server "
            "and security_protocol of engine.queue.config.queue"
        )

    def doubt(self, text: str) -> None:
        """The brokers or the topic were not found."""
        if self._down_since is None:
            self._down_since = self._clock()
            logger.warning(f"Kafka at {self._servers} is unreachable; retrying: {self._last or text}")

    def on_error(self, error: KafkaError) -> None:
        """The client's ``error_cb``."""
        name, text = error.name(), self.reason(error)
        if name in _DOUBTFUL:
            self.doubt(text)
            return
        self._last = text
        if name in ("_AUTHENTICATION", "_SSL", "SASL_AUTHENTICATION_FAILED"):
            self._refused = text
        elif name not in self._logged:
            self._logged.add(name)
            logger.warning(f"Kafka at {self._servers}: {text}")

    def log(self, _level: int, template: str, *values: Any) -> None:
        """The client's ``logger``; this is the only method that it calls. Serious errors also arrive at ``on_error``.
        While brokers are unreachable, the client logs that twenty times a second."""
        kind = str(values[0]) if values else ""
        if kind not in self._logged:
            logger.debug("{}", self._scrub(template % values))
        if kind in _REPEATED:
            self._logged.add(kind)
