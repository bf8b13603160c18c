"""The RabbitMQ queue when connections are cut or stall, when the destination is busy for long, when the broker dies."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from loguru import logger
from proxy import Proxy
from rabbitmq_server import Broker, Node, can_start
from servers import server_or_skip

from bizon.common.clock import monotonic
from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import StreamKey
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.queue.adapters.rabbitmq import connection, sender
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.models import QueueEnd, QueueMessage, broker_name
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.testing.queue import BUDGET, JOB, end, page


class Ends:
    """Opens ends of one queue, each by its own way to the broker, and hears what they warn of."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.stream = StreamKey("faults", "source", uuid4().hex)
        self.name = broker_name(self.stream)
        self.warnings: list[str] = []
        self._opened: list[AbstractQueue] = []

    def open(self, which: QueueEnd, way: Broker | Proxy | None = None, **queue: Any) -> AbstractQueue:
        to = self.broker if way is None else self.broker._replace(host=way.host, port=way.port)
        block = {**to._asdict(), "max_message_size": 100_000, **queue}
        config = RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": block}})
        opened = QueueFactory.get_queue(config, end=which, stream=self.stream, budget=BUDGET)
        opened.connect()
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        for opened in self._opened:
            with suppress(QueueError):
                opened.close()

    def losses(self) -> int:
        return sum("connection was lost" in line for line in self.warnings)


@contextmanager
def ends_at(broker: Broker) -> Iterator[Ends]:
    ends = Ends(broker)
    sink = logger.add(lambda line: ends.warnings.append(str(line)), level="WARNING", format="{message}")
    yield ends
    ends.close()
    logger.remove(sink)
    broker.delete(ends.name)


@pytest.fixture
def ends(rabbitmq: Broker) -> Iterator[Ends]:
    with ends_at(rabbitmq) as found:
        yield found


@pytest.fixture
def way(rabbitmq: Broker) -> Iterator[Proxy]:
    with Proxy(rabbitmq.host, rabbitmq.port) as proxy:
        yield proxy


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, what
        threading.Event().wait(0.01)


def put(queue: AbstractQueue, *messages: QueueMessage) -> None:
    for message in messages:
        while not queue.put(message, timeout=1):
            pass


def put_for_ever(queue: AbstractQueue) -> None:
    deadline = monotonic() + 60
    while monotonic() < deadline:
        queue.put(page(0), timeout=0.05)


def take(queue: AbstractQueue) -> QueueMessage:
    deadline = monotonic() + 60
    while (message := queue.get(timeout=1)) is None:
        assert monotonic() < deadline, "no message"
    return message


def flow(ends: Ends, producer: AbstractQueue, consumer: AbstractQueue, count: int, faults: dict[int, Any]) -> None:
    """``count`` pages, and a fault when so many have come. They come out in order, none is missing, none stays.

    The producer is never so far ahead that it has nothing to do when a fault comes.
    """
    failures: list[BaseException] = []
    ahead = threading.Semaphore(20)

    def produce() -> None:
        try:
            for number in range(count):
                ahead.acquire(timeout=60)
                put(producer, page(number, size=(200_000 if number % 40 == 0 else 5_000)))
            put(producer, end(count))
            producer.close()
        except QueueError as error:
            failures.append(error)

    producing = threading.Thread(target=produce)
    producing.start()
    pages, seen = InOrder(0), []
    while len(seen) <= count:
        assert not failures
        message = take(consumer)
        if pages.is_repeat(message):
            consumer.settle(message)
            continue
        for each in pages.take(message):
            seen.append(each.iteration)
            ahead.release()
            if len(seen) in faults:
                faults[len(seen)]()
            if len(seen) % 10 == 0:
                consumer.ack(JOB, each.iteration)
    assert seen == list(range(count + 1))
    consumer.ack(JOB, count - 1)
    consumer.settle(message)
    producing.join(60)
    assert not producing.is_alive()
    assert not failures
    while (late := consumer.get(timeout=0.1)) is not None:  # published twice, the second time behind the end
        assert pages.is_repeat(late)
        consumer.settle(late)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 0


def test_connections_that_are_cut_again_and_again_lose_nothing(ends: Ends, way: Proxy) -> None:
    """While pages flow, for both ends at a time."""
    producer, consumer = (ends.open(which, way) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))

    def cut() -> None:
        before = ends.losses()
        way.cut()
        until(lambda: ends.losses() >= before + 1, "the loss was not noticed")
        threading.Timer(0.3, way.restore).start()

    flow(ends, producer, consumer, 400, {30: cut, 60: cut, 61: cut, 200: cut})


def test_connections_that_fall_silent_are_mended(ends: Ends, way: Proxy) -> None:
    """Nothing says that they are gone but the missing heartbeat. The broker keeps what it has sent until it knows."""
    producer, consumer = (ends.open(which, way, heartbeat=1) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))

    def stall() -> None:
        way.stall()
        until(lambda: ends.losses() >= 1, "the silence was not noticed")
        threading.Timer(0.3, lambda: (way.cut(), way.resume(), way.restore())).start()

    flow(ends, producer, consumer, 100, {30: stall})


def test_a_slow_connection_is_no_fault(ends: Ends, way: Proxy) -> None:
    producer, consumer = (ends.open(which, way) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
    way.slow(3_000_000)
    flow(ends, producer, consumer, 100, {})
    assert ends.warnings == []


def test_a_destination_that_is_busy_for_longer_than_the_heartbeat_loses_no_connection(ends: Ends) -> None:
    """Busy in Python, so that the other threads get little time. The broker gives up after two to three seconds."""
    producer, consumer = (ends.open(which, heartbeat=1) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
    put(producer, page(0))
    assert take(consumer).iteration == 0
    busy_until = monotonic() + 4
    while monotonic() < busy_until:
        sum(range(1000))
    consumer.ack(JOB, 0)
    put(producer, page(1))
    assert take(consumer).iteration == 1
    consumer.close()
    assert ends.broker.waiting(ends.name) == 1
    assert ends.warnings == []


def test_pages_committed_while_the_connection_was_gone_come_again_and_are_settled(ends: Ends, way: Proxy) -> None:
    """Their acknowledgements have nowhere to go; on the new connection the same numbers mean other deliveries."""
    producer, consumer = ends.open(QueueEnd.PRODUCER), ends.open(QueueEnd.CONSUMER, way)
    put(producer, *(page(number) for number in range(5)))
    assert [take(consumer).iteration for _ in range(5)] == [0, 1, 2, 3, 4]
    way.cut()
    until(lambda: ends.losses() == 1, "the loss was not noticed")
    consumer.ack(JOB, 2)
    way.restore()
    again = [take(consumer) for _ in range(5)]
    assert [message.iteration for message in again] == [0, 1, 2, 3, 4]
    for message in again:  # 3 and 4 are in the buffer, so they are repeats to the consumer, but not committed
        consumer.settle(message)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 2
    assert take(ends.open(QueueEnd.CONSUMER)).iteration == 3


def test_deliveries_of_a_lost_connection_are_not_confused_with_later_ones(ends: Ends, way: Proxy) -> None:
    """Each connection counts from 1."""
    producer, consumer = ends.open(QueueEnd.PRODUCER), ends.open(QueueEnd.CONSUMER, way)
    put(producer, *(page(number, job="another") for number in range(3)))
    strangers = [take(consumer) for _ in range(3)]
    way.cut()
    until(lambda: ends.broker.waiting(ends.name) == 3, "the broker did not notice the loss")
    other = ends.open(QueueEnd.CONSUMER)
    other.settle(take(other))
    other.close()
    put(producer, page(0))
    until(lambda: ends.broker.waiting(ends.name) == 3, "the page is not there")
    way.restore()
    again = [take(consumer) for _ in range(3)]
    assert [message.job_id for message in again] == ["another", "another", JOB]
    for message in (*strangers, *again[:2]):
        consumer.settle(message)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 1


def test_bytes_of_a_stranger_are_forgotten_without_a_page_behind_them(ends: Ends) -> None:
    consumer = ends.open(QueueEnd.CONSUMER)
    ends.broker.publish(ends.name, b"what is this?")
    until(lambda: consumer.get(timeout=0.01) is None and len(ends.warnings) == 1, "no warning")
    consumer.close()
    assert ends.broker.waiting(ends.name) == 0


def test_a_broker_that_stays_away_ends_both_sides_with_a_remedy(
    ends: Ends, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, consumer = (ends.open(which, way) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
    monkeypatch.setattr(connection, "AWAY", 0.3)
    way.cut()
    with pytest.raises(QueueError, match=r"no connection for .* run again once it is back, to resume"):
        take(consumer)
    with pytest.raises(QueueError, match=r"no connection for .* run again once it is back, to resume"):
        put_for_ever(producer)
    producer.close()  # it was said


def test_a_queue_that_is_lost_while_the_broker_is_away_is_an_error_at_once(ends: Ends, way: Proxy) -> None:
    """A new one in its place would hide that pages are missing until the consumer has waited for them in vain."""
    producer, consumer = (ends.open(which, way) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
    put(producer, page(0))
    take(consumer)
    way.cut()
    until(lambda: ends.losses() == 2, "the loss was not noticed")
    ends.broker.delete(ends.name)
    way.restore()
    for wait in (lambda: take(consumer), lambda: put_for_ever(producer)):
        with pytest.raises(QueueError, match=r"is gone with the pages in it: .* run again to resume"):
            wait()


def test_a_channel_that_the_broker_closes_is_opened_again(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does to a consumer that took longer than the broker's consumer_timeout, which this stands for."""
    monkeypatch.setattr(connection, "channel_failure", lambda *_: None)
    producer, consumer = ends.open(QueueEnd.PRODUCER), ends.open(QueueEnd.CONSUMER)
    put(producer, page(0))
    assert take(consumer).iteration == 0
    receiver = consumer._side
    receiver._connection.call(lambda: receiver._channel.basic_ack(99))
    assert take(consumer).iteration == 0
    (warning,) = ends.warnings
    assert "unknown delivery tag 99" in warning


def test_an_end_may_be_closed_at_any_moment(ends: Ends) -> None:
    """Also between a question to the broker and its answer. A thread that ends by an exception fails the test."""
    producer = ends.open(QueueEnd.PRODUCER)
    put(producer, *(page(number) for number in range(40)))
    for count in range(20):
        consumer = ends.open(QueueEnd.CONSUMER)
        for _ in range(count):
            take(consumer)
        consumer.close()
        ends.open(QueueEnd.PRODUCER).close()
    producer.close()
    assert ends.broker.waiting(ends.name) == 40


def test_an_end_may_be_closed_while_the_broker_is_away_or_silent(ends: Ends, way: Proxy) -> None:
    for fault in (way.cut, way.stall):
        producer, consumer = (ends.open(which, way) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
        before = ends.losses()
        way.cut()
        until(lambda known=before: ends.losses() == known + 2, "the loss was not noticed")  # type: ignore[misc]
        if fault == way.stall:
            accepted = way.accepted
            way.stall()
            way.restore()
            until(lambda known=accepted: way.accepted >= known + 2, "nobody connects again")  # type: ignore[misc]
        for queue in (producer, consumer):
            queue.close()
        way.resume()
        way.restore()
    until(lambda: "bizon-rabbitmq" not in [thread.name for thread in threading.enumerate()], "a thread is left")


def test_a_producer_that_closes_while_the_connection_is_gone_waits_for_it(ends: Ends, way: Proxy) -> None:
    producer = ends.open(QueueEnd.PRODUCER, way)
    way.cut()
    put(producer, page(0), end(1))
    threading.Timer(0.3, way.restore).start()
    producer.close()
    assert ends.broker.waiting(ends.name) == 2


def test_confirmations_that_do_not_come_are_an_error_of_close(
    ends: Ends, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_PATIENCE", 0.2)
    monkeypatch.setattr(connection, "_CLOSING", 0.2)
    producer = ends.open(QueueEnd.PRODUCER, way)
    way.stall()
    put(producer, page(0))
    with pytest.raises(QueueError, match="has not taken 1 messages"):
        producer.close()
    producer.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A broker that a test may kill."""
    if not can_start():
        server_or_skip("RabbitMQ", "no rabbitmq-server to start and to kill")
    with Node(tmp_path_factory.mktemp("node")) as started:
        yield started


def test_a_broker_that_is_killed_and_starts_again_has_lost_nothing(node: Node) -> None:
    with ends_at(node.broker) as ends:
        producer, consumer = (ends.open(which) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
        node.remember()

        def restart() -> None:
            node.kill()
            until(lambda: ends.losses() == 2, "the loss was not noticed")
            threading.Thread(target=node.start).start()

        flow(ends, producer, consumer, 200, {50: restart})


def test_a_broker_that_is_short_of_disk_makes_the_producer_wait(node: Node) -> None:
    with ends_at(node.broker) as ends:
        producer = ends.open(QueueEnd.PRODUCER)
        node.control("set_disk_free_limit", str(10**18))
        put(producer, page(0))  # RabbitMQ says that it is short when the first one comes
        until(lambda: not producer.put(page(1), timeout=0.1), "there was room all the time")
        node.control("set_disk_free_limit", str(10**6))
        put(producer, page(2))
        producer.close()
        assert ends.broker.waiting(ends.name) >= 2
        (warning,) = ends.warnings
        assert "takes no pages (low on disk): it has raised a resource alarm" in warning
