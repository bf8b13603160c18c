"""The RabbitMQ queue when the broker dies, is short of memory or disk, or follows its operator."""

import json
import threading
from collections.abc import Iterator

import pytest
from engine.queue.rabbitmq_kit import ends_at, flow, put, take, until
from rabbitmq_server import Node, node_at

from bizon.engine.backend.models import Role
from bizon.engine.queue.adapters.rabbitmq import sender
from bizon.testing.queue import end, page


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A broker that a test may kill."""
    with node_at(tmp_path_factory.mktemp("node"), "a test kills it") as started:
        yield started


def test_a_broker_that_is_killed_and_starts_again_has_lost_nothing(node: Node) -> None:
    with ends_at(node.broker) as ends:
        producer, consumer = (ends.open(which) for which in (Role.PRODUCER, Role.CONSUMER))
        node.remember()

        def restart() -> None:
            node.kill()
            until(lambda: ends.losses() == 2, "the loss was not noticed")
            threading.Thread(target=node.start).start()

        flow(ends, producer, consumer, 200, {50: restart})


def test_a_broker_that_is_short_of_disk_makes_the_producer_wait(node: Node) -> None:
    with ends_at(node.broker) as ends:
        producer = ends.open(Role.PRODUCER)
        with node.short_of_disk():
            put(producer, page(0))  # RabbitMQ reports the shortage when the first message arrives
            until(lambda: not producer.put(page(1), timeout=0.1), "there was room all the time")
        put(producer, page(2))
        producer.close()
        assert ends.broker.waiting(ends.name) >= 2
        (warning,) = ends.warnings
        assert "accepts no pages (low on disk): it has raised a resource alarm" in warning


def test_messages_that_a_broker_in_an_alarm_refuses_can_be_given_up(node: Node) -> None:
    """A stop once waited minutes for it."""
    with ends_at(node.broker) as ends:
        producer = ends.open(Role.PRODUCER)
        with node.short_of_disk():
            put(producer, page(0))
            until(lambda: producer.is_stalled, "no alarm")
            put(producer, end(1))
            assert not producer.flush(timeout=0.05)
            producer.abandon()
            assert producer.flush(timeout=0.05), "nothing is waited for any more"
            producer.close()
        reported, given_up = ends.warnings
        assert "accepts no pages (low on disk)" in reported
        assert "has accepted nothing for" in given_up
        assert "2 messages have not reached queue" in given_up


def test_the_producer_waits_out_an_alarm_of_the_broker_however_long_it_takes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_PATIENCE", 0.05)
    with ends_at(node.broker) as ends:
        producer = ends.open(Role.PRODUCER)
        with node.short_of_disk():
            put(producer, page(0))
            until(lambda: producer.is_stalled, "no alarm")
            for _ in range(5):
                assert not producer.flush(timeout=0.05)
            monkeypatch.undo()
        until(lambda: producer.flush(timeout=0.1), "it was not taken")
        producer.close()


@pytest.mark.parametrize("policy", [{"message-ttl": 1}, {"max-length": 1}], ids=lambda policy: next(iter(policy)))
def test_a_queue_whose_pages_have_expired_or_were_dropped_is_empty(node: Node, policy: dict[str, int]) -> None:
    node.control("set_policy", "p", ".*", json.dumps(policy), "--apply-to", "queues")
    try:
        with ends_at(node.broker) as ends:
            producer = ends.open(Role.PRODUCER)
            put(producer, *(page(number) for number in range(5)), end(5))
            producer.close()
            until(lambda: ends.broker.waiting(ends.name) <= 1, "the policy does nothing")
            consumer = ends.open(Role.CONSUMER)
            until(lambda: consumer.get(timeout=0.05) is None and consumer.is_drained(), "it is not empty")
    finally:
        node.control("clear_policy", "p")


def test_while_another_consumer_may_give_pages_back_a_queue_is_not_empty(node: Node) -> None:
    with ends_at(node.broker) as ends:
        dead = ends.open(Role.CONSUMER)
        consumer = ends.open(Role.CONSUMER)
        until(lambda: ends.consumers() == 2, "both are running")
        for _ in range(20):
            assert not consumer.is_drained()
            assert consumer.get(timeout=0.01) is None
        dead.close()
        until(lambda: consumer.get(timeout=0.05) is None and consumer.is_drained(), "it is not empty")


def test_a_page_whose_acknowledgement_the_broker_does_not_wait_for_arrives_again(node: Node) -> None:
    short = (
        "application:set_env(rabbit, channel_tick_interval, 100), application:set_env(rabbit, consumer_timeout, 200)."
    )
    node.control("eval", short)
    try:
        with ends_at(node.broker) as ends:
            producer, consumer = ends.open(Role.PRODUCER), ends.open(Role.CONSUMER)
            put(producer, page(0))
            first = take(consumer)
            again = take(consumer)
            assert (first.iteration, again.iteration) == (0, 0)
            (warning, *_) = ends.warnings
            assert "delivery acknowledgement" in warning
            assert "raise its consumer_timeout, or lower buffer_flush_timeout or buffer_size" in warning
    finally:
        node.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
