"""The consumer's side: messages arrive in portions, wait here for ``get``, and are acknowledged once committed."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.engine.queue.adapters.rabbitmq.connection import BrokerConnection
from bizon.engine.queue.adapters.rabbitmq.failure_texts import gone
from bizon.engine.queue.adapters.rabbitmq.portions import Portions
from bizon.engine.queue.chunks import Joiner
from bizon.engine.queue.codec import decode
from bizon.engine.queue.deliveries import Deliveries

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails
    from bizon.engine.queue.models import QueueMessage


class _Arrival(NamedTuple):
    tag: int  # counted over all channels: lost ones have lower tags
    body: bytes


class Receiver:
    """Used by one thread; the connection's thread calls the methods of :class:`Handler`."""

    def __init__(self, config: "RabbitMQConfigDetails", queue_name: str, room: int) -> None:
        self._queue = queue_name
        self._changed = Condition()
        self._waiting: deque[_Arrival] = deque()
        self._waiting_size = 0
        self._deliveries = Deliveries()
        self._joiner = Joiner()
        self._joined_from = 0
        self._before = 0  # the highest tag of the lost channels; this channel counts on from it
        self._highest = 0
        self._portions = Portions(room)
        self._channel: Any = None
        self._consumer: str | None = None
        self._asking = self._counting = False
        self._is_empty = False  # the queue, by the broker's last answer
        self._failure: QueueError | None = None
        self._connection = BrokerConnection(config, queue_name, self)

    def open(self) -> None:
        """Raises QueueError when the queue is unreachable."""
        self._connection.open()

    def close(self) -> None:
        """Send the pending acknowledgements, then end the connection."""
        self._connection.close()

    def get(self, timeout: float) -> "QueueMessage | None":
        """As :meth:`AbstractQueue.get`."""
        deadline = monotonic() + timeout
        while (arrival := self._take(deadline)) is not None:
            self._connection.call(self._ask)
            message = self._read(arrival)
            if message is not None:
                return replace(message, tag=arrival.tag)
        return None

    def ack(self, job_id: str, to_iteration: int) -> None:
        """As :meth:`AbstractQueue.ack`. Never fails: unacknowledged pages arrive again, and the consumer skips them."""
        with self._changed:
            self._forget(self._deliveries.ack(job_id, to_iteration))

    def discard(self, tag: int) -> None:
        """As :meth:`AbstractQueue.discard`, for the message with this tag. Never fails."""
        with self._changed:
            self._forget(self._deliveries.discard(tag))

    def is_drained(self) -> bool:
        """As :meth:`AbstractQueue.is_drained`: the broker's answer to the previous question."""
        with self._changed:
            answer = self._is_empty and not self._waiting
        self._connection.call(self._count)
        return answer

    def ready(self, channel: Any) -> None:
        """Ask for the first portion."""
        self._channel = channel
        channel.add_on_cancel_callback(self._cancelled)
        self._ask()

    def lost(self) -> None:
        """Unacknowledged messages will arrive again."""
        with self._changed:
            self._channel = self._consumer = None
            self._asking = self._counting = self._is_empty = False
            self._portions.lost()
            self._waiting.clear()
            self._waiting_size = 0
            self._deliveries.clear()
            self._before = self._highest

    def failed(self, error: QueueError) -> None:
        """Wake the waiting thread."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def blocked(self, is_blocked: bool) -> None:
        """Does nothing: only publishing is blocked."""

    def _take(self, deadline: float) -> _Arrival | None:
        with self._changed:
            while not self._waiting:
                if self._failure is not None:
                    raise self._failure
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return None
                self._changed.wait(remaining)
            arrival = self._waiting.popleft()
            self._waiting_size -= len(arrival.body)
            return arrival

    def _read(self, arrival: _Arrival) -> "QueueMessage | None":
        """The message that has arrived; None for an incomplete or invalid message, or one from a lost channel."""
        if self._joined_from != self._before:
            self._joiner, self._joined_from = Joiner(), self._before
        message, size, whole = None, len(arrival.body), None
        try:
            whole = self._joiner.add(arrival.body)
            message = decode(whole) if whole is not None else None
        except QueueError as error:
            logger.warning(f"queue '{self._queue}': message {arrival.tag} is skipped: {error}")
            whole = b""
        with self._changed:
            if arrival.tag <= self._before:  # its channel is lost: it will arrive again
                return None
            if whole is None:
                self._deliveries.add_piece(size)
                return None
            self._deliveries.add(arrival.tag, message, size)
            if message is None:
                self._forget(self._deliveries.discard(arrival.tag))
        return message

    def _forget(self, tag: int | None) -> None:
        if tag is not None:
            self._connection.call(partial(self._acknowledge, tag))

    def _acknowledge(self, tag: int) -> None:
        if self._channel is not None and self._channel.is_open and tag > self._before:
            self._channel.basic_ack(tag - self._before, multiple=True)
            self._portions.acknowledged(tag - self._before)

    def _arrived(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        with self._changed:
            self._is_empty = False
            self._highest = self._before + method.delivery_tag
            self._waiting.append(_Arrival(self._highest, body))
            self._waiting_size += len(body)
            self._portions.delivered(method.delivery_tag, len(body))
            self._changed.notify_all()
        self._ask()

    def _ask(self) -> None:
        """Ask for another portion when it is time: end the broker's consumer of the previous portion, for which nothing
        is in flight once it is used up, and start another. The count belongs to a consumer, since RabbitMQ 4.3 refuses
        one for a channel."""
        channel = self._channel
        if channel is None or not channel.is_open or self._asking:
            return
        with self._changed:
            portion = self._portions.next(self._waiting_size)
        if portion is None:
            return
        self._asking = True

        def begin(_frame: Any) -> None:
            if channel.is_open:  # it may have closed meanwhile, here and below
                channel.basic_qos(prefetch_count=portion, callback=consume)

        def consume(_frame: Any) -> None:
            if channel.is_open:
                self._consumer = channel.basic_consume(self._queue, self._arrived, callback=done)

        def done(_frame: Any) -> None:
            self._asking = False
            self._connection.call(self._ask)

        self._end_consumer(begin)

    def _end_consumer(self, then: Callable[[Any], None]) -> None:
        if self._consumer is None:
            then(None)
        else:
            self._channel.basic_cancel(self._consumer, callback=then)

    def _count(self) -> None:
        if self._channel is not None and self._channel.is_open and not self._counting:
            self._counting = True
            self._channel.queue_declare(self._queue, passive=True, callback=self._counted)

    def _counted(self, frame: Any) -> None:
        """A dead consumer that the broker has not noticed yet may still have messages, which will come back."""
        with self._changed:
            self._counting = False
            self._is_empty = frame.method.message_count == 0 and frame.method.consumer_count <= 1

    def _cancelled(self, _frame: Any) -> None:
        self._connection.fail(gone(self._queue))
