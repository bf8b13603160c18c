"""Sync mode stream: commits, evictions, rebalances and restarts, on a real broker."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer
from connectors.sources.kafka.kafka_kit import (
    PATIENCE,
    PLAIN,
    add_partitions,
    committed,
    numbered,
    numbers,
    opened,
    produce,
    read_stream,
    rows,
    set_committed,
    stream,
    wait_until,
)

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import client, group

Topics = Callable[..., str]


@pytest.mark.lesson("F-19")
@pytest.mark.parametrize("environment", [None, "staging"])
def test_offsets_are_committed_when_the_engine_says_so_and_not_before(
    kafka_url: str, kafka_topics: Topics, environment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They used to be committed only when ENVIRONMENT was "production"."""
    if environment is not None:
        monkeypatch.setenv("ENVIRONMENT", environment)
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = stream(kafka_url, topic, batch_size=4)
    with opened(block) as source:
        source.get({})
        assert committed(kafka_url, block.group, topic) == [0]  # where reading starts
        source.commit()
        assert committed(kafka_url, block.group, topic) == [4]
        source.get({})
    assert committed(kafka_url, block.group, topic) == [4]


def test_a_commit_that_never_returns_is_tried_again_with_the_next_page(
    kafka_url: str, kafka_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The synchronous commit of librdkafka may outlive its coordinator."""
    stuck, returned = Event(), Event()

    class Stuck(Consumer):
        def commit(self, **keys: Any) -> Any:
            if stuck.is_set():
                returned.wait()
            return super().commit(**keys)

    monkeypatch.setattr(client, "Consumer", Stuck)
    monkeypatch.setattr(group, "_COMMIT_TIMEOUT", 0.5)
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = stream(kafka_url, topic, batch_size=4)
    with opened(block) as source:
        source.get({})
        stuck.set()
        source.commit()
        source.get({})
        source.commit()
        assert committed(kafka_url, block.group, topic) == [0]
        stuck.clear()
        returned.set()
        source.get({})
        wait_until(lambda: bool(source.commit()) or committed(kafka_url, block.group, topic) == [10])


def test_a_restart_resumes_after_the_last_commit(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics(partitions=2)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(partition * 10, partition * 10 + 10)), partition)
    block = stream(kafka_url, topic)
    with opened(block) as source:
        assert sorted(numbers(read_stream(source, 20))) == list(range(20))
    produce(kafka_url, topic, numbered([20]))
    with opened(block) as source:
        assert numbers(read_stream(source, 1)) == [20]


def test_several_pages_may_be_committed_at_once(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(9)))
    block = stream(kafka_url, topic, batch_size=3)
    with opened(block) as source:
        pages = read_stream(source, 9, commit=False)
        assert committed(kafka_url, block.group, topic) == [0]
        source.commit()
        assert committed(kafka_url, block.group, topic) == [9]
    assert [page.next_pagination["topics"][topic]["0"] for page in pages] == [[0, 3], [0, 6], [0, 9]]


def test_a_page_is_returned_as_soon_as_messages_arrive(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered([1]))
    with opened(stream(kafka_url, topic, consumer_timeout=600, batch_size=1000)) as source:
        assert numbers(read_stream(source, 1)) == [1]


def test_without_messages_a_page_is_empty(kafka_url: str, kafka_topics: Topics) -> None:
    with opened(stream(kafka_url, kafka_topics(), consumer_timeout=0.3)) as source:
        page = source.get({})
    assert (page.records, page.next_pagination) == ([], {})


def test_skipped_messages_are_committed_when_no_page_before_them_is_in_flight(
    kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, [None] * 20)
    block = stream(kafka_url, topic, batch_size=5, consumer_timeout=0.5)
    with opened(block) as source:
        wait_until(lambda: source.get({}).records == [] and committed(kafka_url, block.group, topic) == [20])
        produce(kafka_url, topic, [*numbered([1]), None])
        read_stream(source, 1, commit=False)
        assert source.get({}).records == []
        assert committed(kafka_url, block.group, topic) == [20]
        source.commit()
        assert committed(kafka_url, block.group, topic) == [22]


def test_a_run_resumes_after_a_checkpoint_whose_offsets_were_not_committed(
    kafka_url: str, kafka_topics: Topics
) -> None:
    """The run before died between its checkpoint and the commit of its offsets."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = stream(kafka_url, topic, batch_size=5)
    with opened(block) as source:
        read_stream(source, 5)
        (page,) = read_stream(source, 5, commit=False)
    produce(kafka_url, topic, numbered([10]))
    with opened(block) as source:
        (following,) = read_stream(source, 1, pagination=page.next_pagination)
    assert numbers([following]) == [10]
    assert committed(kafka_url, block.group, topic) == [11]


@pytest.mark.parametrize("offset", [0, 2, 5, 7])
def test_offsets_that_were_moved_since_override_the_checkpoint(
    kafka_url: str, kafka_topics: Topics, offset: int
) -> None:
    """Another member of the group moved them, or an operator who wants messages again."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = stream(kafka_url, topic, batch_size=5, consumer_config={"group.instance.id": ""})
    with opened(block) as source:
        read_stream(source, 5)
        (page,) = read_stream(source, 5, commit=False)
    set_committed(kafka_url, block.group, topic, offset)
    with opened(block) as source:
        found = numbers(read_stream(source, 10 - offset, pagination=page.next_pagination))
    assert found == list(range(offset, 10))


def test_a_member_that_is_fenced_at_commit_returns_and_loses_nothing(kafka_url: str, kafka_topics: Topics) -> None:
    """Another consumer with the same group.instance.id takes over the membership, then leaves."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(6)))
    block = stream(kafka_url, topic, batch_size=3, consumer_config={"group.instance.id": "same"})
    with opened(block) as source:
        pages = read_stream(source, 3)
        pages += read_stream(source, 3, commit=False)
        intruder = Consumer(
            {
                "bootstrap.servers": kafka_url,
                "group.id": block.group,
                "group.instance.id": "same",
                "enable.auto.commit": False,
                **PLAIN,
            }
        )
        intruder.subscribe([topic])
        wait_until(lambda: bool(intruder.poll(0.1) or intruder.assignment()))
        source.commit()  # refused: this consumer is no longer a member
        intruder.close()
        produce(kafka_url, topic, numbered([6]))
        pages += read_stream(source, 1)
        assert numbers(pages) == list(range(7))
    assert committed(kafka_url, block.group, topic) == [7]


def test_a_member_that_was_evicted_for_its_silence_returns_and_loses_nothing(
    kafka_url: str, kafka_topics: Topics
) -> None:
    """A write that takes longer than max.poll.interval.ms: the group continues without the member."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(3)))
    settings = {"max.poll.interval.ms": 6000, "session.timeout.ms": 6000, "group.instance.id": ""}
    block = stream(kafka_url, topic, consumer_config=settings)
    with opened(block) as source:
        pages = read_stream(source, 3, commit=False)
        other = Consumer({"bootstrap.servers": kafka_url, "group.id": block.group, **PLAIN})
        other.subscribe([topic])
        wait_until(lambda: bool(other.poll(0.1) or other.assignment()))  # it gets the partition
        source.commit()
        other.close()
        produce(kafka_url, topic, numbered([3]))
        deadline = time.monotonic() + PATIENCE
        while not any(row["data"]["value"] == {"n": 3} for row in rows(pages[-1])):
            assert time.monotonic() < deadline
            page = source.get({})
            if page.records != []:
                pages.append(page)
                source.commit()
    assert set(numbers(pages)) == {0, 1, 2, 3}
    assert committed(kafka_url, block.group, topic) == [4]


def test_a_contested_membership_ends_the_run(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    settings = {"group.instance.id": "same"}
    block = stream(kafka_url, topic, batch_size=1, consumer_timeout=2, consumer_config=settings)
    produce(kafka_url, topic, numbered(range(40)))

    def fight() -> None:
        first.get({})
        second.get({})
        for _ in range(10):
            for source in (first, second):
                source.commit()
                source.get({})

    with opened(block) as first, opened(block) as second, pytest.raises(SourceFetchError) as caught:
        fight()
    assert "evicted from group" in str(caught.value)
    assert "group.instance.id 'same'" in str(caught.value)


def test_two_members_share_the_partitions_without_loss(kafka_url: str, kafka_topics: Topics) -> None:
    """Partitions move while pages are in flight: the other member delivers these pages."""
    topic = kafka_topics(partitions=4)
    for partition in range(4):
        produce(kafka_url, topic, numbered(range(partition * 100, partition * 100 + 100)), partition)
    blocks = [
        stream(
            kafka_url,
            topic,
            group_id=topic,
            batch_size=10,
            consumer_timeout=1,
            consumer_config={"group.instance.id": each},
        )
        for each in ("a", "b")
    ]
    found: list[int] = []
    with opened(blocks[0]) as first, opened(blocks[1]) as second:
        found += numbers(read_stream(first, 10))
        found += numbers([first.get({})])  # in flight when the other joins
        deadline = time.monotonic() + PATIENCE
        took_part = {0: 0, 1: 0}
        while set(found) != set(range(400)) or not all(took_part.values()):
            assert time.monotonic() < deadline, (len(set(found)), took_part)
            for number, source in enumerate((second, first)):
                page = source.get({})
                if page.records != []:
                    found += numbers([page])
                    took_part[number] += 1
                    source.commit()
            if set(found) == set(range(400)) and not all(took_part.values()):
                for partition in range(4):
                    produce(kafka_url, topic, numbered([partition]), partition)
    assert set(found) == set(range(400))
    assert sum(committed(kafka_url, topic, topic, 4)) >= 400


def test_a_partition_that_is_new_is_read_from_its_start(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered([0]))
    settings = {"topic.metadata.refresh.interval.ms": 200}
    with opened(stream(kafka_url, topic, consumer_timeout=1, consumer_config=settings)) as source:
        assert numbers(read_stream(source, 1)) == [0]
        add_partitions(kafka_url, topic, 2)
        produce(kafka_url, topic, numbered([1]), 1)
        assert numbers(read_stream(source, 1)) == [1]


def test_an_unknown_topic_and_an_unreachable_broker_are_named(kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(stream(kafka_url, "no-such-topic")) as source:
        ok, reason = source.check_connection()
    assert not ok
    assert "topic 'no-such-topic'" in str(reason)
    monkeypatch.setattr(client, "REQUEST_TIMEOUT", 1.0)
    with opened(stream("127.0.0.1:1", "t")) as source:
        ok, reason = source.check_connection()
    assert not ok
    assert "brokers 127.0.0.1:1 do not answer" in str(reason)
    assert "Connection refused" in str(reason)


def test_a_setting_that_librdkafka_does_not_know_is_named(kafka_url: str) -> None:
    with opened(stream(kafka_url, "t", consumer_config={"fetch.max.byte": 1})) as source:
        ok, reason = source.check_connection()
    assert not ok
    assert reason == 'consumer_config: No such configuration property: "fetch.max.byte"'
