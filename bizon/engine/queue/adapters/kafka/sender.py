"""The producer's side: messages in flight to the broker."""

from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.engine.queue.adapters.kafka.client import OUTAGE, ClientEvents
from bizon.engine.queue.adapters.kafka.settings import CONNECT_TIMEOUT, built, settings
from bizon.engine.queue.chunks import split
from bizon.engine.queue.codec import encode

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.kafka.config import KafkaConfigDetails
    from bizon.engine.queue.models import QueueMessage

_FLUSH_TIMEOUT = 60.0  # seconds
_LOOK = 0.5  # seconds; longest wait before a failure of the client is noticed
_OVERHEAD = 4096  # bytes of a batch in addition to its messages, generously
_UNBOUNDED = 2_000_000_000  # kB; this class bounds the pages in flight


class Sender:
    """Used by the producer, on one thread. ``limit``: bytes of messages that may be unconfirmed."""

    def __init__(self, config: "KafkaConfigDetails", topic: str, limit: int) -> None:
        self._config = config.queue
        self._topic = topic
        self._limit = limit
        self._max_records = config.max_nb_messages
        self._events = ClientEvents(config.queue)
        self._bytes = self._records = 0
        self._failure: KafkaError | None = None
        self._failed = False
        self._encoded: tuple[QueueMessage, bytes] | None = None
        # The broker's limit counts a batch as one message, so a batch may not be larger than one of our messages.
        largest = self._config.max_message_size + _OVERHEAD
        own = {
            "enable_idempotence": True,
            "acks": "all",
            "message_timeout_ms": int(OUTAGE * 1000),
            "batch_size": largest,
            "message_max_bytes": largest,
            "queue_buffering_max_kbytes": _UNBOUNDED,
            "queue_buffering_max_messages": 0,
        }
        self._producer: Any = built(Producer, self._events, settings(self._config, self._events, **own))

    def connect(self) -> None:
        """Connect before the first page, for which the client would otherwise wait a second."""
        with suppress(KafkaException):  # the client keeps retrying, and the pages wait
            self._producer.list_topics(self._topic, timeout=CONNECT_TIMEOUT)

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        """As :meth:`AbstractQueue.put`; a page that failed in flight raises at the next call."""
        payload = self._payload(message)
        deadline = monotonic() + timeout
        self._serve(0)
        while not self._has_room(len(payload), message.frame.height):
            remaining = deadline - monotonic()
            if remaining <= 0:
                return False
            self._serve(min(remaining, _LOOK))
        self._encoded = None
        self._send(payload, message.frame.height)
        return True

    @property
    def is_stalled(self) -> bool:
        """True while the brokers are unreachable."""
        return self._events.is_in_doubt

    def flush(self, timeout: float) -> bool:
        """As :meth:`AbstractQueue.flush`. Waits up to five minutes for unreachable brokers."""
        deadline = monotonic() + timeout
        while self._bytes > 0 and not self._failed and monotonic() < deadline:
            self._serve(min(_LOOK, timeout))
        return self._bytes == 0 or self._failed

    def abandon(self) -> None:
        """As :meth:`AbstractQueue.abandon`."""
        if self._bytes > 0 and not self._failed:
            logger.warning(
                f"{len(self._producer)} messages have not reached Kafka topic '{self._topic}'; the next run fetches "
                "their pages again"
            )
        self._failed = True

    def close(self) -> None:
        """Wait for all confirmations, at most a minute. Raises QueueError when some are missing, unless ``put`` has
        raised."""
        deadline = monotonic() + _FLUSH_TIMEOUT
        try:
            while not self._failed and self._bytes > 0 and monotonic() < deadline:
                self._serve(_LOOK)
            if not self._failed and self._bytes > 0:
                left = len(self._producer)
                raise QueueError(
                    f"the Kafka broker has not confirmed {left} messages within {_FLUSH_TIMEOUT:.0f} seconds"
                )
        finally:
            self._producer.purge()
            self._producer = None

    def _serve(self, timeout: float) -> None:
        """Receive confirmations; returns at the first, or after ``timeout`` seconds. Raises QueueError for a
        failure."""
        try:
            self._events.serve(lambda: self._producer.poll(timeout))
            self._check()
        except QueueError:
            self._failed = True
            raise

    def _payload(self, message: "QueueMessage") -> bytes:
        """The encoded message. Encoding happens once, even if ``put`` is retried until there is room."""
        if self._encoded is None or self._encoded[0] is not message:
            self._encoded = (message, encode(message))
        return self._encoded[1]

    def _has_room(self, size: int, records: int) -> bool:
        if self._bytes == 0:
            return True
        return self._bytes + size <= self._limit and self._records + records <= self._max_records

    def _send(self, payload: bytes, records: int) -> None:
        pieces = split(payload, self._config.max_message_size)
        for number, piece in enumerate(pieces):
            counted = records if number == len(pieces) - 1 else 0
            self._bytes += len(piece)
            self._records += counted
            confirm = partial(self._confirmed, len(piece), counted)
            try:
                self._producer.produce(self._topic, piece, partition=0, on_delivery=confirm)
            except (KafkaException, BufferError) as error:
                self._failed = True
                self._serve(0)  # raises the reason when the client has failed for good
                raise self._events.refused(f"a message of {len(piece)} bytes", error) from None

    def _confirmed(self, size: int, records: int, error: KafkaError | None, _message: Any) -> None:
        self._bytes -= size
        self._records -= records
        if error is not None:
            self._failure = self._failure or error
        else:
            self._events.alive()

    def _check(self) -> None:
        if self._failure is None:
            self._events.check()
        elif self._failure.name() == "MSG_SIZE_TOO_LARGE":
            raise QueueError(
                f"the Kafka broker refuses a message as too large: lower engine.queue.config.queue.max_message_size "
                f"(now {self._config.max_message_size} bytes), or raise message.max.bytes of the broker or "
                f"max.message.bytes of topic '{self._topic}'"
            )
        else:
            raise QueueError(f"a page did not reach Kafka topic '{self._topic}': {self._events.reason(self._failure)}")
