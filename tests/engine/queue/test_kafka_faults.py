"""A Kafka queue whose brokers, topics or messages disappear."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer
from engine.queue.kafka_kit import Ends, numbers, put, put_until_it_fails, take
from kafka import Broker, noida, tansu_on_s3
from loguru import logger
from ports import free_port

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.kafka import client, receiver, topic
from bizon.engine.queue.adapters.kafka import sender as sender_module
from bizon.testing.queue import JOB, page


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that the test may stop."""
    own = noida(tmp_path).start()
    yield own
    own.stop()


@pytest.fixture
def ends(broker: Broker) -> Iterator[Ends]:
    """Queues at that broker."""
    opened = Ends(broker.url)
    yield opened
    opened.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the patience of a run."""
    monkeypatch.setattr(topic, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(topic, "_ATTEMPT", 0.2)
    monkeypatch.setattr(receiver, "_COMMIT_PATIENCE", 0.5)


@pytest.mark.usefixtures("impatient")
def test_an_unreachable_broker_is_soon_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    url = f"127.0.0.1:{free_port()}"
    with pytest.raises(QueueError, match=f"no Kafka broker has answered at {url} within .* check that it runs"):
        Ends(url).producer("any")
    assert "%3|" not in capfd.readouterr().err, "the client's own log reached the terminal"


def test_both_ends_carry_on_when_the_broker_is_back(broker: Broker, ends: Ends) -> None:
    sender = ends.producer("pages")
    reader = ends.consumer("pages")
    put(sender, page(0), page(1))
    assert numbers(reader, 2) == [0, 1]
    broker.stop()
    assert sender.put(page(2), 0)
    assert reader.get(0.5) is None
    broker.start()
    put(sender, page(3))
    assert numbers(reader, 2) == [2, 3]
    reader.ack(JOB, 2)
    reader.close()
    assert numbers(ends.consumer("pages"), 1) == [3]


def test_a_broker_that_is_killed_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """At the second broker, since the first loses confirmed messages."""
    with tansu_on_s3(tmp_path) as broker:
        ends = Ends(broker.url)
        sender = ends.producer("pages")
        reader = ends.consumer("pages")
        put(sender, *(page(number) for number in range(20)))
        assert numbers(reader, 5) == list(range(5))
        reader.ack(JOB, 3)
        broker.kill()
        put(sender, *(page(number) for number in range(20, 30)))
        broker.start()
        put(sender, *(page(number) for number in range(30, 40)))
        sender.close()
        assert numbers(reader, 35) == list(range(5, 40))
        reader.close()
        assert numbers(ends.consumer("pages"), 36) == list(range(4, 40))
        ends.close()


def test_there_is_no_room_while_the_broker_is_unreachable_and_room_again_after(broker: Broker, ends: Ends) -> None:
    sender = ends.producer("pages", max_bytes=50_000)
    broker.stop()
    count = 0
    while sender.put(page(count, size=10_000), 0.05):
        count += 1
        assert count < 6, "more than max_bytes is on its way"
    broker.start()
    put(sender, page(count, size=10_000))
    sender.close()
    assert numbers(ends.consumer("pages"), count + 1) == list(range(count + 1))


def test_records_on_their_way_are_bounded_too(broker: Broker, ends: Ends) -> None:
    sender = ends.producer("pages", max_nb_messages=3)
    broker.stop()
    assert [sender.put(page(number), 0.01) for number in range(5)] == [True, True, True, False, False]
    broker.start()


@pytest.mark.usefixtures("impatient")
def test_an_offset_that_cannot_be_committed_is_a_warning(broker: Broker, ends: Ends) -> None:
    warnings: list[str] = []
    sender = ends.producer("pages")
    put(sender, page(0), page(1))
    sender.close()
    reader = ends.consumer("pages")
    take(reader, 2)
    broker.stop()
    logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")
    reader.ack(JOB, 0)
    assert [line for line in warnings if "could not be committed" in line]
    reader.close()
    broker.start()
    assert numbers(ends.consumer("pages"), 1) == [0]


@pytest.fixture
def stuck_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Commits do not return before the event is set, as happens to librdkafka when its coordinator goes away."""
    returned = Event()

    class Stuck(Consumer):
        def commit(self, **keys: Any) -> Any:
            returned.wait()
            return super().commit(**keys)

    monkeypatch.setattr(receiver, "Consumer", Stuck)
    yield returned
    returned.set()


@pytest.mark.usefixtures("impatient")
def test_a_commit_that_never_returns_stops_neither_the_consumer_nor_its_end(ends: Ends, stuck_commits: Event) -> None:
    warnings: list[str] = []
    put(ends.producer("pages"), page(0), page(1), page(2))
    reader = ends.consumer("pages")
    take(reader, 1)
    logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")
    reader.ack(JOB, 0)
    assert any("could not be committed (_TIMED_OUT: the call has not returned" in line for line in warnings)
    assert numbers(reader, 2) == [1, 2]
    reader.close()
    assert not stuck_commits.is_set()


def test_a_broker_that_stays_unreachable_ends_both_sides(
    broker: Broker, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OUTAGE", 0.5)
    monkeypatch.setattr(sender_module, "OUTAGE", 0.5)
    sender = ends.producer("pages")
    reader = ends.consumer("pages")
    broker.stop()
    assert "no Kafka broker has answered" in (error := put_until_it_fails(sender)) or "did not reach" in error
    with pytest.raises(QueueError, match="no Kafka broker has answered"):
        take(reader, 1)


def test_closing_says_when_pages_are_not_confirmed(broker: Broker, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "_FLUSH_TIMEOUT", 0.5)
    sender = ends.producer("pages")
    broker.stop()
    sender.put(page(0), 0)
    with pytest.raises(QueueError, match="has not confirmed 1 messages"):
        sender.close()
    sender.close()
