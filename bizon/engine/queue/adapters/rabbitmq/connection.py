"""The connection to the broker, on its own thread.

The thread keeps up the heartbeat while a destination writes for minutes, and reconnects when the connection is lost.
Pika runs only on this thread: other threads pass it work by ``call``.
"""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from bizon.common.errors.errors import QueueError
from bizon.common.safe_log import logger
from bizon.common.waiting import doubling
from bizon.engine.patience import RABBITMQ_OUTAGE
from bizon.engine.queue.adapters.rabbitmq.client import IOLoop, parameters, pika, queue_arguments
from bizon.engine.queue.adapters.rabbitmq.failure_texts import channel_failure, connection_reason

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails

OUTAGE = RABBITMQ_OUTAGE
_STEADY = 10.0  # seconds; a shorter connection does not end an outage
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two attempts
_OPENING = 30.0  # seconds for the first connection, its channel and the queue
_CLOSING_AT_ONCE = 0.5  # seconds
_CLOSING = 10.0  # seconds for closing; then the operating system closes it


class Handler(Protocol):
    """One side of the queue: how it uses its channel. Called on the connection's thread."""

    def ready(self, channel: Any) -> None:
        """A new channel is open and the queue exists."""

    def lost(self) -> None:
        """The channel is lost. ``ready`` or ``failed`` follows."""

    def failed(self, error: QueueError) -> None:
        """No other channel will follow."""

    def blocked(self, is_blocked: bool) -> None:
        """The broker accepts no messages for now, or accepts them again."""


class BrokerConnection:
    """One connection with one channel, while this side of the queue is open."""

    def __init__(self, config: "RabbitMQConfigDetails", queue_name: str, handler: Handler) -> None:
        self._config = config.queue
        self._where = f"{config.queue.host}:{config.queue.port}"
        self._name = queue_name
        self._arguments = queue_arguments(config)
        self._handler = handler
        self._parameters = parameters(config.queue)
        self._loop: Any = None
        self._thread = Thread(target=self._run, name="bizon-rabbitmq", daemon=True)
        self._attempt: Any = None  # to connect, while it lasts
        self._connection: Any = None
        self._opened = Event()  # ready for the first time, or failed
        self._ended = Event()  # nothing is left to wait for
        self._failure: QueueError | None = None
        self._channel_error: BaseException | None = None
        self._closing = False
        self._ready_at: float | None = None
        self._unreachable_since: float | None = None
        self._waits = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._blocked_since: float | None = None
        self._blocked_by = ""

    @property
    def stall(self) -> str | None:
        """How long the broker has accepted nothing, and why; None while it accepts messages. From any thread."""
        since = self._blocked_since
        if since is None:
            return None
        return f"at {self._where} has accepted nothing for {monotonic() - since:.0f} s ({self._blocked_by})"

    def open(self) -> None:
        """Returns once the queue exists. Raises QueueError when the first attempt fails."""
        self._loop = IOLoop()
        self.call(self._connect)
        self.call(lambda: self.later(_OPENING, self._give_up_opening))
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            raise self._failure

    def call(self, work: Callable[[], None]) -> None:
        """Let the connection's thread do some work, after its earlier work. Never waits."""
        self._loop.add_callback_threadsafe(work)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """The same after some seconds. Only on the connection's thread."""
        self._loop.call_later(seconds, work)

    def close(self, *, at_once: bool = False) -> None:
        """Close the connection when its earlier work is done. Waits within a bound, which is short with ``at_once``: a
        broker that is short of memory or disk does not even read the request to close. Idempotent."""
        if self._thread.is_alive():
            self.call(self._close)
            self._ended.wait(_CLOSING_AT_ONCE if at_once else _CLOSING)

    def fail(self, reason: str) -> None:
        """Fail for good. Only on the connection's thread."""
        if self._failure is None and not self._closing:
            self._failure = QueueError(f"RabbitMQ at {self._where}: {reason}")
            self._handler.failed(self._failure)
            self._opened.set()
            self._close()

    def _run(self) -> None:
        try:
            self._loop.start()
        finally:
            self._loop.close()
            self._ended.set()
            if not self._closing:  # a bug in here; its traceback goes to the standard error
                self.fail("the thread of the connection has ended")

    def _give_up_opening(self) -> None:
        if not self._opened.is_set():
            self.fail("no answer in time")

    def _connect(self) -> None:
        if not self._closing:
            self._attempt = pika.SelectConnection.create_connection(
                [self._parameters], on_done=self._attempted, custom_ioloop=self._loop
            )

    def _attempted(self, connection: Any) -> None:
        self._attempt = None
        if not isinstance(connection, pika.SelectConnection):  # it is an error
            self._gone(None, connection)
            return
        self._connection = connection
        connection.add_on_close_callback(self._gone)
        if self._closing:
            connection.close()
            return
        connection.add_on_connection_blocked_callback(self._is_blocked)
        connection.add_on_connection_unblocked_callback(self._is_unblocked)
        connection.channel(on_open_callback=self._declare)

    def _is_blocked(self, _connection: Any, frame: Any) -> None:
        """The broker has raised an alarm. It reports each further alarm, and once that all are over."""
        if self._blocked_since is None:
            self._blocked_since = monotonic()
            self._blocked_by = str(frame.method.reason or "no reason given")
            logger.warning(
                f"RabbitMQ at {self._where} accepts no pages ({self._blocked_by}): it has raised a resource alarm; "
                "waiting until that is over; check the broker's memory and disk"
            )
        self._handler.blocked(True)

    def _is_unblocked(self, *_: Any) -> None:
        if self._blocked_since is not None:
            logger.info(
                f"RabbitMQ at {self._where} accepts pages again, after {monotonic() - self._blocked_since:.0f} s"
            )
            self._blocked_since = None
        self._handler.blocked(False)

    def _declare(self, channel: Any) -> None:
        def declared(_frame: Any) -> None:
            if not channel.is_open:  # closed meanwhile
                return
            if self._config.exchange:
                channel.queue_bind(self._name, self._config.exchange, self._name, callback=bound)
            else:
                bound(None)

        def bound(_frame: Any) -> None:
            if not channel.is_open:
                return
            if self._unreachable_since is not None:
                logger.info(f"RabbitMQ at {self._where}: reconnected")
            self._ready_at = monotonic()
            self._waits = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
            self._handler.ready(channel)
            self._opened.set()

        channel.add_on_close_callback(self._channel_gone)
        if self._opened.is_set():  # a new queue would hide that the old one is gone with its pages
            channel.queue_declare(self._name, passive=True, callback=declared)
        else:
            channel.queue_declare(self._name, durable=True, arguments=self._arguments, callback=declared)

    def _channel_gone(self, _channel: Any, error: BaseException) -> None:
        reason = channel_failure(error, self._name)
        if reason is not None:
            self.fail(reason)
        elif self._connection.is_open:
            self._channel_error = error
            self._connection.close()

    def _gone(self, _connection: Any, error: BaseException) -> None:
        """The connection failed, was lost, or closed on request."""
        self._handler.lost()
        self._blocked_since = None
        if self._closing:
            self._loop.stop()
            return
        error, self._channel_error = self._channel_error or error, None
        now, reason = monotonic(), connection_reason(error, self._config)
        if self._ready_at is None and self._unreachable_since is None:
            self.fail(reason)
            return
        if self._unreachable_since is None or (self._ready_at is not None and now - self._ready_at > _STEADY):
            self._unreachable_since = now
        if self._ready_at is not None:
            logger.warning(f"RabbitMQ at {self._where}: the connection was lost ({reason}); reconnecting")
        self._ready_at = None
        if now - self._unreachable_since > OUTAGE:
            self.fail(f"no connection for {OUTAGE:.0f} seconds ({reason}); run again once it is back, to resume")
        else:
            self._loop.call_later(next(self._waits), self._connect)

    def _close(self) -> None:
        self._closing = True
        if self._attempt is not None:  # pika cannot cancel it: the thread ends with it, and nobody waits
            self._ended.set()
        elif self._connection is None or self._connection.is_closed:
            self._loop.stop()
        elif not self._connection.is_closing:
            self._connection.close()
