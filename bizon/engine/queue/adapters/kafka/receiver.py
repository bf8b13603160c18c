"""The consumer's side: messages from the broker, and the offset up to which they are done."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from bizon.common.bounded_calls import BoundedCalls
from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off
from bizon.engine.queue.adapters.kafka.client import ClientEvents
from bizon.engine.queue.adapters.kafka.settings import CONNECT_TIMEOUT, built, settings
from bizon.engine.queue.chunks import Joiner
from bizon.engine.queue.codec import ForeignMessageError, decode
from bizon.engine.queue.deliveries import Deliveries

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.kafka.config import KafkaConfigDetails
    from bizon.engine.queue.models import QueueMessage

_ATTEMPT = 5.0  # seconds; one question to the broker while connecting
_POLL = 0.1  # seconds between two questions while connecting
_PROBE = 0.1  # seconds; shortest check whether unreachable brokers are back
_IDLE = 30.0  # seconds without a message before checking that brokers and topic exist
_COMMIT_PATIENCE = 10.0  # seconds; also the client's own, for one attempt
_COMMIT_TRIES = 3
_TIMED_OUT = -185  # KafkaError._TIMED_OUT
_LARGEST_FETCH = 8 * 1024 * 1024
_HOPELESS = (
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
)


class Receiver:
    """Used by the consumer, on one thread.

    Reads partition 0 by assignment, without joining the group: nothing rebalances, and a destination may take its time.
    ``ahead``: bytes that are fetched before ``get`` asks for them. There is no other limit: delivered pages are in the
    consumer's buffer, which is bounded itself and may need the next page to fill up.
    """

    def __init__(self, config: "KafkaConfigDetails", topic: str, group: str, ahead: int) -> None:
        self._topic = topic
        self._group = group
        self._reset = config.consumer.auto_offset_reset
        self._longest_poll = config.consumer.consumer_timeout_ms / 1000
        self._events = ClientEvents(config.queue)
        self._joiner = Joiner()
        self._deliveries = Deliveries()
        self._done = self._committed = -1
        self._next = 0  # offset after the last message that has arrived
        self._foreign = 0
        self._probe_at = monotonic() + _IDLE
        own = {
            "group_id": group,
            "enable_auto_commit": False,
            "enable_auto_offset_store": False,
            "auto_offset_reset": "error",
            "max_poll_interval_ms": 86_400_000,
            "session_timeout_ms": int(_COMMIT_PATIENCE * 1000),
            "queued_max_messages_kbytes": max(ahead // 1024, 1),
            "max_partition_fetch_bytes": max(min(ahead // 2, _LARGEST_FETCH), config.queue.max_message_size),
            "fetch_queue_backoff_ms": 20,
        }
        self._commits = BoundedCalls[list[TopicPartition]](2 * _COMMIT_PATIENCE)
        self._consumer: Any = built(Consumer, self._events, settings(config.queue, self._events, **own))

    def connect(self) -> None:
        """Start after the last committed message; ``get`` raises when the broker no longer has the next one."""
        committed = self._ask(self._committed_offset)
        if committed is None:
            start = OFFSET_BEGINNING if self._reset == "earliest" else OFFSET_END
        else:
            start = self._done = self._committed = self._next = committed
        self._consumer.assign([self._place(start)])

    def get(self, timeout: float) -> "QueueMessage | None":
        """As :meth:`AbstractQueue.get`. Waits up to five minutes for unreachable brokers."""
        deadline = monotonic() + timeout
        while True:
            self._events.check()
            remaining = max(0.0, min(deadline - monotonic(), self._longest_poll))
            wait = 0 if self._events.is_in_doubt else remaining
            received = self._events.serve(partial(self._consumer.poll, wait))
            if received is None and (self._events.is_in_doubt or monotonic() >= self._probe_at):
                self._probe(min(deadline - monotonic(), self._longest_poll))
            message = None if received is None else self._read(received)
            if message is not None:
                return message
            if monotonic() >= deadline:
                return None

    def is_drained(self) -> bool:
        """As :meth:`AbstractQueue.is_drained`."""
        try:
            first, after_last = self._consumer.get_watermark_offsets(self._place(), timeout=_ATTEMPT)
        except KafkaException:
            return False
        return bool(after_last <= max(self._next, first))

    def ack(self, job_id: str, to_iteration: int) -> None:
        """Commit the offset after the committed pages. A failure only warns: the consumer skips repeated pages."""
        self._note(self._deliveries.ack(job_id, to_iteration))
        self._commit()

    def discard(self, message: "QueueMessage") -> None:
        """The next ``ack`` or ``close`` commits the offset, since another job may have left many messages."""
        self._note(self._deliveries.discard(message.tag))

    def close(self) -> None:
        """Commit the offset and leave; a consumer whose commit has not returned is left to its brokers."""
        self._commit()
        if self._foreign > 1:
            logger.warning(f"{self._foreign} messages on Kafka topic '{self._topic}' were not bizon's")
        if not self._commits.is_stuck:
            self._consumer.close()
        self._consumer = None

    def _ask(self, question: Any) -> Any:
        """The broker's answer; retried for some seconds, since the client may have to find a coordinator."""
        poll = self._consumer.poll  # no partition is assigned yet, so it runs callbacks and returns no messages
        for attempt in back_off(_POLL, _POLL, patience=CONNECT_TIMEOUT, sleep=poll):
            try:
                answer = question()
                break
            except KafkaException as error:
                self._events.check_admitted()
                if attempt.is_last or error.args[0].name() in _HOPELESS:
                    reason = self._events.reason(error)
                    raise QueueError(
                        f"Kafka topic '{self._topic}' cannot be read by group '{self._group}': {reason}"
                    ) from None
        return answer

    def _committed_offset(self) -> int | None:
        (found,) = self._consumer.committed([self._place()], timeout=_ATTEMPT)
        if found.error is not None:
            raise KafkaException(found.error)
        return int(found.offset) if found.offset >= 0 else None

    def _read(self, received: Message) -> "QueueMessage | None":
        if (error := received.error()) is not None:
            self._trouble(error)
            return None
        self._probe_at = monotonic() + _IDLE
        body, offset = received.value() or b"", received.offset() or 0
        self._next = offset + 1
        try:
            whole = self._joiner.add(body)
            message = None if whole is None else replace(decode(whole), tag=offset)
        except QueueError as error:
            is_foreign = isinstance(error, ForeignMessageError)
            self._foreign += is_foreign
            level = "DEBUG" if is_foreign and self._foreign > 1 else "WARNING"
            logger.log(level, f"message {offset} on Kafka topic '{self._topic}' is skipped: {error}")
            self._deliveries.add(offset, None, len(body))
            return None
        if message is None:
            self._deliveries.add_piece(len(body))
        else:
            self._deliveries.add(offset, message, len(body))
        return message

    def _trouble(self, error: KafkaError) -> None:
        if error.name() in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"):
            raise self._lost(self._events.reason(error))
        if error.fatal() or error.name() in _HOPELESS:
            raise QueueError(f"Kafka topic '{self._topic}' cannot be read: {self._events.reason(error)}")
        logger.debug(f"Kafka topic '{self._topic}': {self._events.reason(error)}")

    def _lost(self, detail: str) -> QueueError:
        """The error for messages that are gone. At the next start the group resumes after the gap, and the producer
        sends the pages again; otherwise the consumer would stop at the gap forever."""
        with suppress(KafkaException):
            self._done, _ = self._consumer.get_watermark_offsets(self._place(), timeout=_ATTEMPT)
            self._committed = -1
            self._commit()
        return QueueError(
            f"Kafka topic '{self._topic}' lacks messages that group '{self._group}' has not read ({detail}): its "
            "retention has removed them, or the topic was recreated. Everything that the destination has committed is "
            "safe; run the producer again to resume after it, and raise retention.ms and retention.bytes of the topic"
        )

    def _place(self, offset: int = OFFSET_INVALID) -> TopicPartition:
        return TopicPartition(self._topic, 0, offset)

    def _probe(self, timeout: float) -> None:
        """Check that brokers and topic exist: a topic without new messages would not show it, nor would messages that
        were fetched earlier."""
        self._probe_at = monotonic() + _IDLE
        try:
            found = self._consumer.list_topics(self._topic, timeout=max(timeout, _PROBE)).topics[self._topic]
        except KafkaException as error:
            self._events.doubt(self._events.reason(error))
            return
        if found.error is not None or 0 not in found.partitions:
            raise QueueError(
                f"Kafka topic '{self._topic}' is gone; everything that the destination has committed is safe: run "
                "again to recreate the topic and resume after it"
            )
        self._events.alive()

    def _note(self, tag: int | None) -> None:
        if tag is not None:
            self._done = tag + 1

    def _commit(self) -> None:
        if self._done <= self._committed:
            return
        reason = ""
        for _ in back_off(0, 0, tries=_COMMIT_TRIES, patience=_COMMIT_PATIENCE):
            failure = self._commit_once(self._done)
            if failure is None:
                self._committed = self._done
                return
            reason = self._events.reason(failure)
        logger.warning(
            f"offset {self._done} of Kafka topic '{self._topic}' could not be committed ({reason}): the pages before "
            "it may arrive again, and will be skipped"
        )

    def _commit_once(self, offset: int) -> KafkaError | KafkaException | None:
        commit = partial(self._consumer.commit, offsets=[self._place(offset)], asynchronous=False)
        try:
            (answer,) = self._commits.call(commit)
        except KafkaException as error:
            return error
        except TimeoutError as error:
            return KafkaError(_TIMED_OUT, str(error))
        failure: KafkaError | None = answer.error
        return failure
