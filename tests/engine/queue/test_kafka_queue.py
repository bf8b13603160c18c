"""Behaviours that only the Kafka queue has: limits of messages, topics, credentials, offsets."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from engine.queue.kafka_kit import PATIENCE, Ends, numbers, put, put_until_it_fails, take

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.kafka import receiver
from bizon.engine.queue.adapters.kafka.sender import Sender
from bizon.testing.queue import JOB, page


@pytest.fixture
def ends(kafka_url: str) -> Iterator[Ends]:
    """Queues at the session's broker."""
    opened = Ends(kafka_url)
    yield opened
    opened.close()


@pytest.mark.lesson("F-27")
def test_credentials_that_are_refused_are_an_error_without_them(ends: Ends) -> None:
    given = {"sasl_username": "someone", "sasl_password": "pass-word-1", "sasl_mechanism": "SCRAM-SHA-256"}
    with pytest.raises(QueueError, match=r"refuse bizon: .*; check security_protocol") as caught:
        ends.producer("any", security_protocol="SASL_PLAINTEXT", **given)
    assert "pass-word" not in str(caught.value)


def test_a_setting_that_the_client_does_not_know_is_named(ends: Ends) -> None:
    with pytest.raises(QueueError, match=r"check engine.queue.config.queue: .*no\.such\.thing"):
        ends.producer("any", librdkafka={"no.such.thing": 1})


def test_a_page_that_is_too_large_for_the_broker_is_an_error_with_a_remedy(
    ends: Ends, kafka_topics: Callable[..., str]
) -> None:
    name = kafka_topics(max_message_bytes="50000")
    queue = ends.producer(name)
    put(queue, page(0, size=200_000))
    error = put_until_it_fails(queue)
    assert "lower engine.queue.config.queue.max_message_size (now 900000 bytes)" in error
    assert f"raise message.max.bytes of the broker or max.message.bytes of topic '{name}'" in error


def test_pages_and_batches_stay_below_a_small_limit_of_the_broker(ends: Ends, kafka_topics: Callable[..., str]) -> None:
    name = kafka_topics(max_message_bytes="50000")
    sent = [page(0, size=200_000), *(page(number, size=15_000) for number in range(1, 20))]
    queue = ends.producer(name, max_message_size=20_000, librdkafka={"linger.ms": 100})
    put(queue, *sent)
    queue.close()
    received = take(ends.consumer(name), 20)
    assert all(one.frame.equals(other.frame) for one, other in zip(received, sent, strict=True))


def test_one_partition_of_a_topic_is_used(ends: Ends, kafka_topics: Callable[..., str], kafka_url: str) -> None:
    name = kafka_topics(3)
    put(ends.producer(name), *(page(number) for number in range(30)))
    assert numbers(ends.consumer(name), 30) == list(range(30))


def test_a_consumer_that_starts_at_the_end_does_so_once(ends: Ends, kafka_topics: Callable[..., str]) -> None:
    name, latest = kafka_topics(), {"consumer": {"auto_offset_reset": "latest"}}
    queue = ends.producer(name)
    put(queue, page(0))
    queue.close()
    first = ends.consumer(name, **latest)
    assert first.get(0.5) is None
    put(ends.producer(name), page(1))
    assert numbers(first, 1) == [1]
    first.ack(JOB, 1)
    first.close()
    put(ends.producer(name), page(2))
    assert numbers(ends.consumer(name, **latest), 1) == [2]


def test_each_end_does_only_its_own_part(ends: Ends, kafka_topics: Callable[..., str]) -> None:
    name = kafka_topics()
    with pytest.raises(QueueError, match="not open for getting"):
        ends.producer(name).get(0)
    with pytest.raises(QueueError, match="not open for putting"):
        ends.consumer(name).put(page(0), 0)


def test_topics_of_pipelines_are_found_by_name_and_not_created_twice(
    ends: Ends, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    name = kafka_topics(name=f"test-{uuid4().hex}")
    for _ in range(2):
        ends.producer(name).close()
    admin = AdminClient({"bootstrap.servers": kafka_url})
    assert len(admin.list_topics(name, timeout=PATIENCE).topics[name].partitions) == 1


def test_a_topic_that_cannot_be_created_is_an_error_with_a_remedy(ends: Ends) -> None:
    remedy = r"could not be created .*; set replication_factor, or create the topic yourself"
    with pytest.raises(QueueError, match=remedy):
        ends.producer(f"test-{uuid4().hex}", replication_factor=0)


def test_messages_removed_by_retention_are_one_error(
    ends: Ends, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    """The next consumer finds the pages that the producer has sent again; otherwise it would never start."""
    name = kafka_topics()
    put(ends.producer(name), *(page(number) for number in range(5)))
    first = ends.consumer(name)
    take(first, 1)
    first.ack(JOB, 0)
    first.close()
    admin = AdminClient({"bootstrap.servers": kafka_url})
    for done in admin.delete_records([TopicPartition(name, 0, 3)]).values():
        done.result(PATIENCE)
    with pytest.raises(QueueError, match=f"'{name}' lacks messages .* run the producer again"):
        take(ends.consumer(name), 1)
    assert numbers(ends.consumer(name), 2) == [3, 4]


def test_a_topic_that_is_removed_meanwhile_is_an_error(
    ends: Ends,
    kafka_topics: Callable[..., str],
    kafka_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver, "_IDLE", 0.2)
    name = kafka_topics()
    sender = ends.producer(name)
    put(sender, page(0))
    sender.close()
    queue = ends.consumer(name)
    take(queue, 1)
    admin = AdminClient({"bootstrap.servers": kafka_url})
    admin.delete_topics([name])[name].result(PATIENCE)
    with pytest.raises(QueueError, match=f"'{name}' is gone; .* run again"):
        take(queue, 1)


@pytest.mark.parametrize("noticed_by", ["poll", "produce"])
def test_a_producer_that_the_broker_has_lost_track_of_fails_and_closes_at_once(
    noticed_by: str, ends: Ends, kafka_topics: Callable[..., str], kafka_url: str
) -> None:
    """Somebody recreates the topic while it is in use. The client may refuse a message before it has reported why."""
    name = kafka_topics()
    queue = ends.producer(name)
    put(queue, page(0))
    sender = queue._sender
    assert sender is not None
    admin = AdminClient({"bootstrap.servers": kafka_url})
    deadline = monotonic() + PATIENCE
    while sender._bytes:
        sender._serve(0.1)
        assert monotonic() < deadline
    admin.delete_topics([name])[name].result(PATIENCE)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(PATIENCE)
    if noticed_by == "poll":
        error = put_until_it_fails(queue)
    else:
        error = send_until_it_fails(sender, deadline)
    assert "failed for good" in error
    assert "sequence" in error
    assert queue.flush(PATIENCE) is True
    queue.close()


def send_until_it_fails(sender: Sender, deadline: float) -> str:
    """The error of a message that the client refuses before anything has asked it for news."""
    try:
        while monotonic() < deadline:
            sender._send(b"x" * 1000, 1)
            sleep(0.01)
    except QueueError as error:
        return str(error)
    raise AssertionError("nothing was raised")
