"""The producer's side: publishes pages as fast as the broker accepts them, and keeps them until it confirms them."""

from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.common.waiting import doubling
from bizon.engine.queue.adapters.rabbitmq.backlog import Backlog
from bizon.engine.queue.adapters.rabbitmq.client import pika
from bizon.engine.queue.adapters.rabbitmq.connection import BrokerConnection
from bizon.engine.queue.adapters.rabbitmq.failure_texts import gone
from bizon.engine.queue.adapters.rabbitmq.outbox import Outbox
from bizon.engine.queue.chunks import split
from bizon.engine.queue.codec import encode

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails
    from bizon.engine.queue.models import QueueMessage

_PATIENCE = 300.0  # seconds without a confirmation before close gives up; a full queue waits for its consumer
_COUNTING = 0.25  # seconds between two questions about the number of waiting messages
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds before retrying a full queue
_PERSISTENT = 2


class Sender:
    """Used by one thread; the connection's thread calls the methods of :class:`Handler`."""

    def __init__(self, config: "RabbitMQConfigDetails", queue_name: str, window: int) -> None:
        self._queue, self._exchange = queue_name, config.queue.exchange
        self._limit = min(config.queue.max_message_size, config.max_bytes or config.queue.max_message_size)
        self._properties = pika.BasicProperties(delivery_mode=_PERSISTENT)
        self._outbox = Outbox(window)
        self._backlog = Backlog(config.max_nb_messages)
        self._changed = Condition()
        self._channel: Any = None
        self._blocked = False
        self._waits = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._confirmed_at = 0.0
        self._counting = False
        self._failure: QueueError | None = None
        self._has_raised = False
        self._abandoned = False
        self._connection = BrokerConnection(config, queue_name, self)

    def open(self) -> None:
        """Raises QueueError when the queue is unreachable."""
        self._connection.open()

    def put(self, message: "QueueMessage", timeout: float) -> bool:
        """As :meth:`AbstractQueue.put`. True: the message stays here until the broker confirms it."""
        if not self._wait_for_room(message, monotonic() + timeout):
            return False
        pieces = split(encode(message), self._limit)
        with self._changed:
            self._outbox.add(pieces, alone=message.signal is not None)
            self._backlog.put(message.frame.height, len(pieces))
        self._connection.call(self._publish)
        if self._backlog.is_long:
            self._connection.call(self._count)
        return True

    @property
    def is_stalled(self) -> bool:
        """True while the broker is short of memory or disk, or unreachable."""
        return self._blocked or self._channel is None

    def flush(self, timeout: float) -> bool:
        """As :meth:`AbstractQueue.flush`."""
        deadline = monotonic() + timeout
        with self._changed:
            self._confirmed_at = self._confirmed_at or monotonic()
            while self._is_open and monotonic() < deadline:
                self._wait_for_confirmation(deadline)
            if len(self._outbox) and not self._abandoned:
                self._raise_failure()
            return not self._is_open

    def abandon(self) -> None:
        """As :meth:`AbstractQueue.abandon`."""
        with self._changed:
            if self._is_open:
                stall = self._connection.stall or "is busy or unreachable"
                logger.warning(
                    f"RabbitMQ {stall}: {len(self._outbox)} messages have not reached queue '{self._queue}'; the next "
                    "run fetches their pages again"
                )
            self._abandoned = True

    def close(self) -> None:
        """Wait for the confirmations. Raises QueueError when they do not arrive, unless ``put`` has raised already."""
        with self._changed:
            self._confirmed_at = monotonic()
            while self._is_open:
                self._wait_for_confirmation(monotonic() + _PATIENCE)
        self._connection.close(at_once=self._abandoned)
        if len(self._outbox) and not self._has_raised and not self._abandoned:
            self._raise_failure()

    def ready(self, channel: Any) -> None:
        """Turn on confirmations, then publish the waiting messages."""

        def confirming(_frame: Any) -> None:
            if channel.is_open:
                self._channel = channel
                self._publish()

        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._answered, callback=confirming)

    def lost(self) -> None:
        """Unconfirmed messages will be published again."""
        with self._changed:
            self._channel = None
            self._blocked = self._counting = False
            self._outbox.lost()

    def failed(self, error: QueueError) -> None:
        """Wake the waiting thread."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def blocked(self, is_blocked: bool) -> None:
        """The broker is short of memory or disk, or no longer."""
        with self._changed:
            self._blocked = is_blocked
            self._changed.notify_all()

    @property
    def _is_open(self) -> bool:
        """True while a confirmation may still arrive."""
        return bool(len(self._outbox)) and self._failure is None and not self._abandoned

    def _wait_for_confirmation(self, deadline: float) -> None:
        """Wait for one confirmation, until ``deadline``. While the broker reports a shortage, the patience does not
        shrink."""
        now = monotonic()
        if self._blocked:
            self._confirmed_at = now
        remaining = self._confirmed_at + _PATIENCE - now
        if remaining > 0:
            self._changed.wait(min(remaining, deadline - now))
            return
        self._failure = QueueError(
            f"queue '{self._queue}' at RabbitMQ has not accepted {len(self._outbox)} messages in "
            f"{_PATIENCE:.0f} seconds: is it full, and is its consumer running? Run again to resume"
        )

    def _wait_for_room(self, message: "QueueMessage", deadline: float) -> bool:
        """The end of a stream is small, and always has room."""
        with self._changed:
            while True:
                self._raise_failure()
                counted = self._backlog.has_room(message.frame.height)
                if message.signal is not None or (counted and self._outbox.has_room and not self._blocked):
                    return True
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return False
                if not counted:
                    remaining = min(remaining, _COUNTING)
                    self._connection.call(self._count)
                self._changed.wait(remaining)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._has_raised = True
            raise self._failure

    def _publish(self) -> None:
        while self._channel is not None and self._channel.is_open:
            with self._changed:
                body = self._outbox.next()
            if body is None:
                return
            self._channel.basic_publish(self._exchange, self._queue, body, self._properties, mandatory=True)

    def _answered(self, frame: Any) -> None:
        accepted = isinstance(frame.method, pika.spec.Basic.Ack)
        with self._changed:
            if self._failure is not None:  # the broker confirms even messages that it returned as undeliverable
                return
            self._outbox.answered(frame.method.delivery_tag, multiple=frame.method.multiple, accepted=accepted)
            refused = self._outbox.is_refused
            if accepted:
                self._confirmed_at = monotonic()
                self._waits = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
            self._changed.notify_all()
        if refused:
            self._connection.later(next(self._waits), self._repeat)
        else:
            self._publish()

    def _repeat(self) -> None:
        with self._changed:
            if self._outbox.is_refused:  # False when the channel was lost meanwhile
                self._outbox.repeat()
        self._publish()

    def _returned(self, _channel: Any, _method: Any, _properties: Any, _body: bytes) -> None:
        self._connection.fail(gone(self._queue))

    def _count(self) -> None:
        if self._channel is not None and self._channel.is_open and not self._counting:
            self._counting = True
            self._channel.queue_declare(self._queue, passive=True, callback=self._counted)

    def _counted(self, frame: Any) -> None:
        with self._changed:
            self._counting = False
            self._backlog.counted(frame.method.message_count + len(self._outbox))
            self._changed.notify_all()
