"""The consuming end: messages come in portions, wait here to be taken, and are acknowledged once they are committed."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Condition
from typing import Any, NamedTuple

from bizon.common.clock import monotonic
from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails
from bizon.engine.queue.adapters.rabbitmq.connection import BrokerConnection
from bizon.engine.queue.adapters.rabbitmq.failure_texts import gone
from bizon.engine.queue.adapters.rabbitmq.portions import Portions
from bizon.engine.queue.chunks import Joiner
from bizon.engine.queue.codec import decode
from bizon.engine.queue.deliveries import Deliveries
from bizon.engine.queue.models import QueueMessage


class _Arrival(NamedTuple):
    tag: int  # of all channels: one that was lost has lower ones
    body: bytes


class Receiver:
    """Used by one thread; the methods of :class:`Handler` are called on the connection's."""

    def __init__(self, config: RabbitMQConfigDetails, queue_name: str, room: int) -> None:
        self._queue = queue_name
        self._changed = Condition()
        self._waiting: deque[_Arrival] = deque()
        self._waiting_size = 0
        self._deliveries = Deliveries()
        self._joiner = Joiner()
        self._joined_from = 0
        self._before = 0  # the highest tag of the channels that were lost; tags of this one are counted from here
        self._highest = 0
        self._portions = Portions(room)
        self._channel: Any = None
        self._consumer: str | None = None
        self._asking = self._counting = False
        self._is_empty = False  # the queue, when the broker was asked last
        self._failure: QueueError | None = None
        self._connection = BrokerConnection(config, queue_name, self)

    def open(self) -> None:
        """Raises QueueError when the queue cannot be reached."""
        self._connection.open()

    def close(self) -> None:
        """What was acknowledged is on its way to the broker before the connection ends."""
        self._connection.close()

    def get(self, timeout: float) -> QueueMessage | None:
        """As :meth:`AbstractQueue.get`."""
        deadline = monotonic() + timeout
        while (arrival := self._take(deadline)) is not None:
            self._connection.call(self._ask)
            message = self._read(arrival)
            if message is not None:
                return replace(message, tag=arrival.tag)
        return None

    def ack(self, job_id: str, to_iteration: int) -> None:
        """As :meth:`AbstractQueue.ack`. Never fails: what is not acknowledged comes again, and is known."""
        with self._changed:
            self._forget(self._deliveries.ack(job_id, to_iteration))

    def discard(self, tag: int) -> None:
        """A message is of no further use. Never fails."""
        with self._changed:
            self._forget(self._deliveries.discard(tag))

    def is_drained(self) -> bool:
        """As :meth:`AbstractQueue.is_drained`: what the broker answered to the question before."""
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
        """All that is not acknowledged will come again."""
        with self._changed:
            self._channel = self._consumer = None
            self._asking = self._counting = self._is_empty = False
            self._portions.lost()
            self._waiting.clear()
            self._waiting_size = 0
            self._deliveries.clear()
            self._before = self._highest

    def failed(self, error: QueueError) -> None:
        """Tell whoever waits."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def blocked(self, is_blocked: bool) -> None:
        """Concerns those who publish."""

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

    def _read(self, arrival: _Arrival) -> QueueMessage | None:
        """The message that has arrived; None when it is a piece of one, no message, or of a lost channel."""
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
            if arrival.tag <= self._before:  # its channel was lost meanwhile: it will come again
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
        """Ask for another portion when it is time: end the consumer of the one before, which is used up, so nothing is
        on its way to it, and begin another. The count is that of a consumer: RabbitMQ 4.3 refuses one of a channel."""
        channel = self._channel
        if channel is None or not channel.is_open or self._asking:
            return
        with self._changed:
            portion = self._portions.next(self._waiting_size)
        if portion is None:
            return
        self._asking = True

        def begin(_frame: Any) -> None:
            if channel.is_open:  # else it was closed meanwhile, here and below
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
        """Another consumer may have messages that will come back: one that died, and whose end is not noticed yet."""
        with self._changed:
            self._counting = False
            self._is_empty = frame.method.message_count == 0 and frame.method.consumer_count <= 1

    def _cancelled(self, _frame: Any) -> None:
        self._connection.fail(gone(self._queue))
