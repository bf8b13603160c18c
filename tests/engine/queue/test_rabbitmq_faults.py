"""The RabbitMQ queue when connections are cut or stall, and when the destination is busy for long."""

import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from engine.queue.rabbitmq_kit import Ends, ends_at, flow, put, put_for_ever, take, until
from proxy import Proxy
from rabbitmq_server import Broker

from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import Role
from bizon.engine.queue.adapters.rabbitmq import connection, sender
from bizon.testing.queue import JOB, end, page


@pytest.fixture
def ends(rabbitmq: Broker) -> Iterator[Ends]:
    with ends_at(rabbitmq) as found:
        yield found


@pytest.fixture
def way(rabbitmq: Broker) -> Iterator[Proxy]:
    with Proxy(rabbitmq.host, rabbitmq.port) as proxy:
        yield proxy


def test_connections_that_are_cut_again_and_again_lose_nothing(ends: Ends, way: Proxy) -> None:
    """While pages flow, for both sides at once."""
    producer, consumer = (ends.open(which, way) for which in (Role.PRODUCER, Role.CONSUMER))

    def cut() -> None:
        before = ends.losses()
        way.cut()
        until(lambda: ends.losses() >= before + 1, "the loss was not noticed")
        threading.Timer(0.3, way.restore).start()

    flow(ends, producer, consumer, 400, {30: cut, 60: cut, 61: cut, 200: cut})


def test_silent_connections_are_replaced(ends: Ends, way: Proxy) -> None:
    """Only the missing heartbeat shows that they are gone. Until then, the broker keeps the messages that it has
    sent."""
    producer, consumer = (ends.open(which, way, heartbeat=1) for which in (Role.PRODUCER, Role.CONSUMER))

    def stall() -> None:
        way.stall()
        until(lambda: ends.losses() >= 1, "the silence was not noticed")
        threading.Timer(0.3, lambda: (way.cut(), way.resume(), way.restore())).start()

    flow(ends, producer, consumer, 100, {30: stall})


def test_a_slow_connection_is_not_a_fault(ends: Ends, way: Proxy) -> None:
    producer, consumer = (ends.open(which, way) for which in (Role.PRODUCER, Role.CONSUMER))
    way.slow(3_000_000)
    flow(ends, producer, consumer, 100, {})
    assert ends.warnings == []


def test_a_destination_that_is_busy_for_longer_than_the_heartbeat_loses_no_connection(ends: Ends) -> None:
    """Python is busy, so other threads get little time. The broker gives up after two to three seconds."""
    producer, consumer = (ends.open(which, heartbeat=1) for which in (Role.PRODUCER, Role.CONSUMER))
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


def test_pages_committed_while_the_connection_was_lost_arrive_again_and_are_discarded(ends: Ends, way: Proxy) -> None:
    """Their acknowledgements cannot be sent; on the new connection the same tags mean other deliveries."""
    producer, consumer = ends.open(Role.PRODUCER), ends.open(Role.CONSUMER, way)
    put(producer, *(page(number) for number in range(5)))
    assert [take(consumer).iteration for _ in range(5)] == [0, 1, 2, 3, 4]
    way.cut()
    until(lambda: ends.losses() == 1, "the loss was not noticed")
    consumer.ack(JOB, 2)
    way.restore()
    again = [take(consumer) for _ in range(5)]
    assert [message.iteration for message in again] == [0, 1, 2, 3, 4]
    for message in again:  # 3 and 4 are in the buffer, so they are repeats to the consumer, but not committed
        consumer.discard(message)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 2
    assert take(ends.open(Role.CONSUMER)).iteration == 3


def test_deliveries_of_a_lost_connection_are_not_confused_with_later_ones(ends: Ends, way: Proxy) -> None:
    """Each connection numbers its deliveries from 1."""
    producer, consumer = ends.open(Role.PRODUCER), ends.open(Role.CONSUMER, way)
    put(producer, *(page(number, job="another") for number in range(3)))
    strangers = [take(consumer) for _ in range(3)]
    way.cut()
    until(lambda: ends.broker.waiting(ends.name) == 3, "the broker did not notice the loss")
    other = ends.open(Role.CONSUMER)
    other.discard(take(other))
    other.close()
    put(producer, page(0))
    until(lambda: ends.broker.waiting(ends.name) == 3, "the page is not there")
    way.restore()
    again = [take(consumer) for _ in range(3)]
    assert [message.job_id for message in again] == ["another", "another", JOB]
    for message in (*strangers, *again[:2]):
        consumer.discard(message)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 1


def test_foreign_bytes_are_acknowledged_without_a_page_after_them(ends: Ends) -> None:
    consumer = ends.open(Role.CONSUMER)
    ends.broker.publish(ends.name, b"what is this?")
    until(lambda: consumer.get(timeout=0.01) is None and len(ends.warnings) == 1, "no warning")
    consumer.close()
    assert ends.broker.waiting(ends.name) == 0


def test_a_broker_that_stays_unreachable_ends_both_sides_with_a_remedy(
    ends: Ends, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, consumer = (ends.open(which, way) for which in (Role.PRODUCER, Role.CONSUMER))
    monkeypatch.setattr(connection, "OUTAGE", 0.3)
    way.cut()
    with pytest.raises(QueueError, match=r"no connection for .* run again once it is back, to resume"):
        take(consumer)
    with pytest.raises(QueueError, match=r"no connection for .* run again once it is back, to resume"):
        put_for_ever(producer)
    producer.close()  # it was raised already


def test_a_queue_that_is_lost_while_the_broker_is_unreachable_is_an_error_at_once(ends: Ends, way: Proxy) -> None:
    """A new queue would hide the missing pages until the consumer has waited for them in vain."""
    producer, consumer = (ends.open(which, way) for which in (Role.PRODUCER, Role.CONSUMER))
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
    """It does the same to a consumer that takes longer than the broker's consumer_timeout."""
    monkeypatch.setattr(connection, "channel_failure", lambda *_: None)
    producer, consumer = ends.open(Role.PRODUCER), ends.open(Role.CONSUMER)
    put(producer, page(0))
    assert take(consumer).iteration == 0
    receiver = consumer._side
    receiver._connection.call(lambda: receiver._channel.basic_ack(99))
    assert take(consumer).iteration == 0
    (warning,) = ends.warnings
    assert "unknown delivery tag 99" in warning


def test_an_end_may_be_closed_at_any_moment(ends: Ends) -> None:
    """Even between a question to the broker and its answer. A thread that ends by an exception fails the test."""
    producer = ends.open(Role.PRODUCER)
    put(producer, *(page(number) for number in range(40)))
    for count in range(20):
        consumer = ends.open(Role.CONSUMER)
        for _ in range(count):
            take(consumer)
        consumer.close()
        ends.open(Role.PRODUCER).close()
    producer.close()
    assert ends.broker.waiting(ends.name) == 40


def test_a_queue_may_be_closed_while_the_broker_is_unreachable_or_silent(ends: Ends, way: Proxy) -> None:
    for fault in (way.cut, way.stall):
        producer, consumer = (ends.open(which, way) for which in (Role.PRODUCER, Role.CONSUMER))
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
    producer = ends.open(Role.PRODUCER, way)
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
    producer = ends.open(Role.PRODUCER, way)
    way.stall()
    put(producer, page(0))
    with pytest.raises(QueueError, match="has not accepted 1 messages"):
        producer.close()
    producer.close()
