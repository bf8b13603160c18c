"""What is Kafka's own about its queue: offsets, limits of messages, topics, brokers that are away."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import Broker, free_port, noida
from loguru import logger

from bizon.common.clock import monotonic
from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import StreamKey
from bizon.engine.queue.adapters.kafka import client, receiver, topic
from bizon.engine.queue.adapters.kafka.config import KafkaConfigDetails
from bizon.engine.queue.adapters.kafka.queue import KafkaQueue
from bizon.engine.queue.models import QueueEnd, QueueMessage
from bizon.testing.queue import JOB, page

PATIENCE = 30.0  # seconds
Open = Callable[..., KafkaQueue]


@pytest.fixture
def opened() -> Iterator[Open]:
    """``opened(end, url, name, **queue)``: an end at the topic ``name``, connected; closed afterwards."""
    queues = []

    def open_one(end: QueueEnd, url: str, name: str, *, budget: int = 1, **keys: Any) -> KafkaQueue:
        outer = {key: keys.pop(key) for key in ("max_bytes", "max_nb_messages", "consumer") if key in keys}
        details = {"queue": {"bootstrap_server": url, "topic": name, **keys}, **outer}
        queue = KafkaQueue(
            KafkaConfigDetails.model_validate(details), end=end, stream=StreamKey("p", "s", name), budget=budget
        )
        queues.append(queue)
        queue.connect()
        return queue

    yield open_one
    for queue in queues:
        with suppress(QueueError):
            queue.close()


@pytest.fixture
def producer(opened: Open, kafka_url: str) -> Open:
    """A producing end at the session's broker."""
    return lambda name, **keys: opened(QueueEnd.PRODUCER, kafka_url, name, **keys)


@pytest.fixture
def consumer(opened: Open, kafka_url: str) -> Open:
    """A consuming end at the session's broker."""
    return lambda name, **keys: opened(QueueEnd.CONSUMER, kafka_url, name, **keys)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that the test may stop."""
    own = noida(tmp_path).start()
    yield own
    own.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up soon where a run would be patient."""
    monkeypatch.setattr(topic, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(topic, "_ATTEMPT", 0.2)
    monkeypatch.setattr(receiver, "_COMMIT_PATIENCE", 0.5)


def take(queue: KafkaQueue, count: int) -> list[QueueMessage]:
    taken: list[QueueMessage] = []
    deadline = monotonic() + PATIENCE
    while len(taken) < count:
        assert monotonic() < deadline, f"{len(taken)} of {count} messages came"
        if (message := queue.get(0.2)) is not None:
            taken.append(message)
    return taken


def numbers(queue: KafkaQueue, count: int) -> list[int]:
    return [message.iteration for message in take(queue, count)]


def put(queue: KafkaQueue, *messages: QueueMessage) -> None:
    for message in messages:
        deadline = monotonic() + PATIENCE
        while not queue.put(message, 0.2):
            assert monotonic() < deadline


def put_until_it_fails(queue: KafkaQueue) -> str:
    """The error of a page that was refused on its way; put has to raise it before long."""
    number, deadline = 0, monotonic() + PATIENCE
    while monotonic() < deadline:
        try:
            number += queue.put(page(number, size=1000), 0.05)
        except QueueError as error:
            return str(error)
    raise AssertionError("nothing was raised")


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_not_there_is_an_error_soon(opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"127.0.0.1:{free_port()}"
    with pytest.raises(QueueError, match=f"no Kafka broker has answered at {url} within .* check that it runs"):
        opened(QueueEnd.PRODUCER, url, "any")
    assert "%3|" not in capfd.readouterr().err, "the client's own log reached the terminal"


@pytest.mark.lesson("F-27")
def test_credentials_that_are_refused_are_an_error_without_them(producer: Open) -> None:
    given = {"sasl_username": "someone", "sasl_password": "pass-word-1", "sasl_mechanism": "SCRAM-SHA-256"}
    with pytest.raises(QueueError, match=r"do not let bizon in: .*; check security_protocol") as caught:
        producer("any", security_protocol="SASL_PLAINTEXT", **given)
    assert "pass-word" not in str(caught.value)


def test_a_setting_that_the_client_does_not_know_is_named(producer: Open) -> None:
    with pytest.raises(QueueError, match=r"check engine.queue.config.queue: .*no\.such\.thing"):
        producer("any", librdkafka={"no.such.thing": 1})


def test_a_page_that_the_broker_finds_too_large_says_what_to_change(
    producer: Open, kafka_topics: Callable[..., str]
) -> None:
    name = kafka_topics(max_message_bytes="50000")
    queue = producer(name)
    put(queue, page(0, size=200_000))
    error = put_until_it_fails(queue)
    assert "lower engine.queue.config.queue.max_message_size (now 900000 bytes)" in error
    assert f"raise message.max.bytes of the broker or max.message.bytes of topic '{name}'" in error


def test_pages_and_batches_stay_below_a_small_limit_of_the_broker(
    producer: Open, consumer: Open, kafka_topics: Callable[..., str]
) -> None:
    name = kafka_topics(max_message_bytes="50000")
    sent = [page(0, size=200_000), *(page(number, size=15_000) for number in range(1, 20))]
    queue = producer(name, max_message_size=20_000, librdkafka={"linger.ms": 100})
    put(queue, *sent)
    queue.close()
    received = take(consumer(name), 20)
    assert all(one.frame.equals(other.frame) for one, other in zip(received, sent, strict=True))


def test_of_a_topic_with_several_partitions_one_is_used(
    producer: Open, consumer: Open, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    name = kafka_topics(3)
    put(producer(name), *(page(number) for number in range(30)))
    assert numbers(consumer(name), 30) == list(range(30))


def test_a_consumer_that_is_to_begin_at_the_end_does_so_once(
    producer: Open, consumer: Open, kafka_topics: Callable[..., str]
) -> None:
    name, latest = kafka_topics(), {"consumer": {"auto_offset_reset": "latest"}}
    queue = producer(name)
    put(queue, page(0))
    queue.close()
    first = consumer(name, **latest)
    assert first.get(0.5) is None
    put(producer(name), page(1))
    assert numbers(first, 1) == [1]
    first.ack(JOB, 1)
    first.close()
    put(producer(name), page(2))
    assert numbers(consumer(name, **latest), 1) == [2]


def test_messages_that_retention_removed_are_an_error_once(
    producer: Open, consumer: Open, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    """The consumer after that finds what the producer has sent again, and would else never start."""
    name = kafka_topics()
    put(producer(name), *(page(number) for number in range(5)))
    first = consumer(name)
    take(first, 1)
    first.ack(JOB, 0)
    first.close()
    admin = AdminClient({"bootstrap.servers": kafka_url})
    for done in admin.delete_records([TopicPartition(name, 0, 3)]).values():
        done.result(PATIENCE)
    with pytest.raises(QueueError, match=f"'{name}' lacks messages .* run the producer again"):
        take(consumer(name), 1)
    assert numbers(consumer(name), 2) == [3, 4]


def test_a_topic_that_is_removed_meanwhile_is_an_error(
    producer: Open,
    consumer: Open,
    kafka_topics: Callable[..., str],
    kafka_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver, "_IDLE", 0.2)
    name = kafka_topics()
    sender = producer(name)
    put(sender, page(0))
    sender.close()
    queue = consumer(name)
    take(queue, 1)
    admin = AdminClient({"bootstrap.servers": kafka_url})
    admin.delete_topics([name])[name].result(PATIENCE)
    with pytest.raises(QueueError, match=f"'{name}' is gone; .* run again"):
        take(queue, 1)


def test_a_producer_that_the_broker_has_lost_track_of_fails_and_closes_at_once(
    producer: Open, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    """The topic is made anew under its feet: the client's fatal error, which is no Exception, becomes ours."""
    name = kafka_topics()
    sender = producer(name)
    put(sender, page(0))
    admin = AdminClient({"bootstrap.servers": kafka_url})
    deadline = monotonic() + PATIENCE
    while sender._sender._bytes:
        sender._sender._serve(0.1)
        assert monotonic() < deadline
    admin.delete_topics([name])[name].result(PATIENCE)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(PATIENCE)
    assert "failed for good" in put_until_it_fails(sender)
    sender.close()


def test_each_end_does_only_its_own(producer: Open, consumer: Open, kafka_topics: Callable[..., str]) -> None:
    name = kafka_topics()
    with pytest.raises(QueueError, match="not open for getting"):
        producer(name).get(0)
    with pytest.raises(QueueError, match="not open for putting"):
        consumer(name).put(page(0), 0)


def test_both_ends_carry_on_when_the_broker_is_back(broker: Broker, opened: Open) -> None:
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages")
    reader = opened(QueueEnd.CONSUMER, broker.url, "pages")
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
    assert numbers(opened(QueueEnd.CONSUMER, broker.url, "pages"), 1) == [3]


def test_there_is_no_room_while_the_broker_is_away_and_room_again_after(broker: Broker, opened: Open) -> None:
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages", max_bytes=50_000)
    broker.stop()
    count = 0
    while sender.put(page(count, size=10_000), 0.05):
        count += 1
        assert count < 6, "more than max_bytes is on its way"
    broker.start()
    put(sender, page(count, size=10_000))
    sender.close()
    assert numbers(opened(QueueEnd.CONSUMER, broker.url, "pages"), count + 1) == list(range(count + 1))


def test_records_on_their_way_are_bounded_too(broker: Broker, opened: Open) -> None:
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages", max_nb_messages=3)
    broker.stop()
    assert [sender.put(page(number), 0.01) for number in range(5)] == [True, True, True, False, False]
    broker.start()


@pytest.mark.usefixtures("impatient")
def test_an_offset_that_cannot_be_committed_is_a_warning(broker: Broker, opened: Open) -> None:
    warnings: list[str] = []
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages")
    put(sender, page(0), page(1))
    sender.close()
    reader = opened(QueueEnd.CONSUMER, broker.url, "pages")
    take(reader, 2)
    broker.stop()
    logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")
    reader.ack(JOB, 0)
    assert [line for line in warnings if "could not be committed" in line]
    reader.close()
    broker.start()
    assert numbers(opened(QueueEnd.CONSUMER, broker.url, "pages"), 1) == [0]


def test_a_broker_that_stays_away_ends_both_ends(broker: Broker, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, receiver, "bizon.engine.queue.adapters.kafka.sender"):
        target = f"{module}.OUTAGE" if isinstance(module, str) else f"{module.__name__}.OUTAGE"
        monkeypatch.setattr(target, 0.5, raising=False)
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages")
    reader = opened(QueueEnd.CONSUMER, broker.url, "pages")
    broker.stop()
    assert "no Kafka broker has answered" in (error := put_until_it_fails(sender)) or "did not reach" in error
    with pytest.raises(QueueError, match="no Kafka broker has answered"):
        take(reader, 1)


def test_closing_says_when_pages_are_not_confirmed(
    broker: Broker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bizon.engine.queue.adapters.kafka.sender._FLUSH_TIMEOUT", 0.5)
    sender = opened(QueueEnd.PRODUCER, broker.url, "pages")
    broker.stop()
    sender.put(page(0), 0)
    with pytest.raises(QueueError, match="has not confirmed 1 messages"):
        sender.close()
    sender.close()


def test_what_is_fetched_ahead_is_bounded(opened: Open, tansu_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second broker, which sends 5 MB when it is asked for 2; the first would send the whole topic."""
    ahead: list[int] = []
    name, budget, size = uuid4().hex, 24_000_000, 500_000

    def note(statistics: str) -> None:
        partitions = json.loads(statistics)["topics"].get(name, {}).get("partitions", {})
        ahead.append(partitions.get("0", {}).get("fetchq_size", 0))

    monkeypatch.setattr(receiver, "settings", lambda *args, **own: client.settings(*args, **own) | {"stats_cb": note})
    sender = opened(QueueEnd.PRODUCER, tansu_url, name)
    put(sender, *(page(number, size=size) for number in range(80)))
    sender.close()
    reader = opened(QueueEnd.CONSUMER, tansu_url, name, budget=budget, librdkafka={"statistics.interval.ms": 5})
    for number in range(80):
        assert numbers(reader, 1) == [number]
        Event().wait(0.02)  # a destination that is slower than the broker
    assert 0 < max(ahead) <= budget // 6 + 6_000_000


def test_topics_of_pipelines_are_found_by_name_and_not_made_twice(
    producer: Open, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    name = kafka_topics(name=f"test-{uuid4().hex}")
    for _ in range(2):
        producer(name).close()
    admin = AdminClient({"bootstrap.servers": kafka_url})
    assert len(admin.list_topics(name, timeout=PATIENCE).topics[name].partitions) == 1


def test_a_topic_that_cannot_be_made_says_what_to_do(producer: Open) -> None:
    with pytest.raises(QueueError, match=r"could not be made .*; set replication_factor, or make the topic yourself"):
        producer(f"test-{uuid4().hex}", replication_factor=0)
