"""Messages that are removed before a stream reads them: by retention, with their topic, or with the group's offsets."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from connectors.sources.kafka.kafka_kit import (
    add_partitions,
    committed,
    delete_group,
    delete_records,
    logged,
    numbered,
    numbers,
    opened,
    produce,
    read_stream,
    recreate,
    set_committed,
    stream,
)

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

Topics = Callable[..., str]
Pagination = dict[str, Any]
DYNAMIC = {"group.instance.id": ""}  # a member that leaves releases its partitions at once
LATEST = {**DYNAMIC, "auto.offset.reset": "latest"}


def make(url: str, *topics: str, **keys: Any) -> KafkaSourceConfig:
    settings = {**DYNAMIC, **keys.pop("consumer_config", {})}
    return stream(url, *topics, consumer_config=settings, **keys)


def with_keys(block: KafkaSourceConfig, **keys: Any) -> KafkaSourceConfig:
    return block.model_copy(update=keys)


def read(block: KafkaSourceConfig, count: int, pagination: Pagination | None = None) -> Pagination:
    """Read and commit this many messages; returns the checkpoint after them."""
    with opened(block) as source:
        return read_stream(source, count, pagination=pagination)[-1].next_pagination


def error_of(block: KafkaSourceConfig, pagination: Pagination | None = None) -> str:
    with opened(block) as source:
        for _ in range(5):
            try:
                source.get(pagination or {})
            except SourceFetchError as error:
                return str(error)
    raise AssertionError("the stream does not fail")


def test_messages_removed_by_retention_while_a_stream_is_stopped_end_the_run(
    kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    block = make(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    produce(kafka_url, topic, numbered(range(10, 25)))
    delete_records(kafka_url, topic, 15)
    for pagination in (checkpoint, {}):  # with the state, and without
        text = error_of(block, pagination)
        assert f"topic '{topic}', partition 0: 5 messages (offsets 10 to 14) were removed before they were read" in text
        assert "source.on_data_loss: warn" in text
    assert committed(kafka_url, block.group, topic) == [10]


def test_with_warn_a_loss_is_counted_once_and_the_stream_continues(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics(partitions=2)
    block = make(kafka_url, topic, on_data_loss="warn")
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(10)), partition)
    checkpoint = read(block, 20)
    for partition, first in ((0, 13), (1, 14)):
        produce(kafka_url, topic, numbered(range(10, 20)), partition)
        delete_records(kafka_url, topic, first, partition)
    with logged() as lines, opened(block) as source:
        found = numbers(read_stream(source, 13, pagination=checkpoint))
    assert sorted(found) == sorted([*range(13, 20), *range(14, 20)])
    assert [line for line in lines if "3 messages (offsets 10 to 12) were removed" in line]
    assert [line for line in lines if "7 messages missing in this run" in line]
    produce(kafka_url, topic, numbered([20]))
    with logged() as lines:
        read(with_keys(block, on_data_loss="fail"), 1, checkpoint)
    assert lines == []


def test_an_accepted_loss_is_not_reported_again_when_no_message_follows(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    block = make(kafka_url, topic, on_data_loss="warn", consumer_timeout=1)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    produce(kafka_url, topic, numbered(range(10)))
    delete_records(kafka_url, topic, 20)
    with logged() as lines, opened(block) as source:
        while not lines:
            assert source.get(checkpoint).records == []
    assert committed(kafka_url, block.group, topic) == [20]


def slow(size: int) -> dict[str, Any]:
    """Settings with which librdkafka stops fetching while it holds this much, so it misses messages that are removed
    then."""
    return {"queued.max.messages.kbytes": size, "queued.min.messages": 1}


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_messages_removed_by_retention_during_the_run_are_reported(
    kafka_url: str, kafka_topics: Topics, policy: str
) -> None:
    """librdkafka used to continue at the first message left, in silence."""
    topic = kafka_topics(partitions=2)
    padded = [b'{"n":%d,"pad":"%s"}' % (number, b"x" * 2000) for number in range(25)]
    block = make(kafka_url, topic, batch_size=1, on_data_loss=policy, consumer_config=slow(4))
    produce(kafka_url, topic, padded[:10])
    with opened(block) as source:
        found = numbers(read_stream(source, 1))
        produce(kafka_url, topic, padded[10:])
        delete_records(kafka_url, topic, 15)
        if policy == "fail":
            with pytest.raises(SourceFetchError, match=r"5 messages \(offsets 10 to 14\) were removed"):
                read_stream(source, 24)
            return
        with logged() as lines:
            found += numbers(read_stream(source, 19))
        assert found == [*range(10), *range(15, 25)]
        assert len([line for line in lines if "5 messages missing in this run" in line]) == 1
    assert committed(kafka_url, block.group, topic, 2) == [25, 0]


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_offsets_beyond_the_end_mean_that_the_topic_was_recreated(
    kafka_url: str, kafka_topics: Topics, policy: str
) -> None:
    """The broker of this test keeps the offsets of a deleted topic, as brokers keep the offsets of a truncated one."""
    topic = kafka_topics()
    block = make(kafka_url, topic, on_data_loss=policy)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    recreate(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(100, 103)))
    if policy == "fail":
        text = error_of(block, checkpoint)
        assert f"topic '{topic}', partition 0: was read up to offset 10, and now ends at 3, 7 before it" in text
        return
    with logged() as lines, opened(block) as source:
        assert numbers(read_stream(source, 3, pagination=checkpoint)) == [100, 101, 102]
    assert [line for line in lines if "now ends at 3" in line]


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_a_removed_partition_is_reported(kafka_url: str, kafka_topics: Topics, policy: str) -> None:
    topic = kafka_topics(partitions=2)
    block = make(kafka_url, topic, on_data_loss=policy)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(3)), partition)
    checkpoint = read(block, 6)
    recreate(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(4)))
    if policy == "fail":
        text = error_of(block, checkpoint)
        assert f"topic '{topic}', partition 1: was read up to offset 3, and no longer exists" in text
        return
    with logged() as lines, opened(block) as source:
        read_stream(source, 1, pagination=checkpoint)
    assert [line for line in lines if "partition 1: was read up to offset 3, and no longer exists" in line]


@pytest.mark.parametrize("batches", [1, 2])
def test_a_deleted_group_reads_again_with_a_warning(kafka_url: str, kafka_topics: Topics, batches: int) -> None:
    """After a single batch, the source used to assume that the run had died before its first commit."""
    topic = kafka_topics()
    block = make(kafka_url, topic)
    checkpoint: Pagination = {}
    for batch in range(batches):
        produce(kafka_url, topic, numbered(range(batch * 5, batch * 5 + 5)))
        checkpoint = read(block, 5, checkpoint)
    delete_group(kafka_url, block.group)
    with logged() as lines, opened(block) as source:
        found = numbers(read_stream(source, batches * 5, pagination=checkpoint))
    assert found == list(range(batches * 5))
    assert len([line for line in lines if f"{batches * 5} messages will be delivered again" in line]) == 1


def test_a_group_that_was_deleted_and_messages_that_were_removed_are_a_loss(
    kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    block = make(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(5)))
    checkpoint = read(block, 5)
    produce(kafka_url, topic, numbered(range(5)))
    delete_records(kafka_url, topic, 7)
    delete_group(kafka_url, block.group)
    assert "2 messages (offsets 5 to 6) were removed before they were read" in error_of(block, checkpoint)


def test_a_group_that_was_deleted_does_not_skip_to_the_end_in_silence(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    block = make(kafka_url, topic, consumer_config=LATEST, consumer_timeout=0.5)
    with opened(block) as source:
        while committed(kafka_url, block.group, topic) != [0]:
            source.get({})
        produce(kafka_url, topic, numbered(range(5)))
        checkpoint = read_stream(source, 5)[-1].next_pagination
    produce(kafka_url, topic, numbered(range(5, 8)))
    delete_group(kafka_url, block.group)
    text = error_of(block, checkpoint)
    assert "3 messages (offsets 5 to 7) were not read: the offsets of the group are gone" in text
    with logged() as lines, opened(with_keys(block, on_data_loss="warn")) as source:
        while committed(kafka_url, block.group, topic) != [8]:
            source.get(checkpoint)
    assert [line for line in lines if "3 messages missing in this run" in line]


def test_messages_that_arrive_before_the_first_read_count_with_latest_too(kafka_url: str, kafka_topics: Topics) -> None:
    """A stream without messages used to have no offset: the next run started at the end again."""
    topic = kafka_topics(partitions=2)
    produce(kafka_url, topic, numbered(range(3)))
    block = make(kafka_url, topic, consumer_config=LATEST, consumer_timeout=0.5)
    with opened(block) as source:
        while committed(kafka_url, block.group, topic, 2) != [3, 0]:
            source.get({})
    produce(kafka_url, topic, numbered(range(3, 6)))
    produce(kafka_url, topic, numbered(range(6, 8)), 1)
    with opened(block) as source:
        assert sorted(numbers(read_stream(source, 5))) == [3, 4, 5, 6, 7]


def test_a_partition_that_is_added_is_read_from_its_first_message_with_latest_too(
    kafka_url: str, kafka_topics: Topics
) -> None:
    topic = kafka_topics()
    settings = {**LATEST, "topic.metadata.refresh.interval.ms": 200}
    block = make(kafka_url, topic, consumer_config=settings, consumer_timeout=0.5)
    with opened(block) as source:
        while committed(kafka_url, block.group, topic) != [0]:
            source.get({})
        add_partitions(kafka_url, topic, 2)
        produce(kafka_url, topic, numbered(range(3)), 1)
        assert numbers(read_stream(source, 3)) == [0, 1, 2]


def test_offsets_moved_by_an_operator_are_followed_and_are_not_a_loss(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    block = make(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    produce(kafka_url, topic, numbered(range(10, 20)))
    set_committed(kafka_url, block.group, topic, 18)
    with logged() as lines, opened(block) as source:
        assert numbers(read_stream(source, 2, pagination=checkpoint)) == [18, 19]
    assert lines == []


def test_an_operator_who_wants_the_first_batch_again_gets_it(kafka_url: str, kafka_topics: Topics) -> None:
    """The group then stands at 0, as it did at the only checkpoint."""
    topic = kafka_topics()
    block = make(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    set_committed(kafka_url, block.group, topic, 0)
    with opened(block) as source:
        assert numbers(read_stream(source, 10, pagination=checkpoint)) == list(range(10))


def test_auto_offset_reset_error_is_kept(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    text = error_of(make(kafka_url, topic, consumer_config={"auto.offset.reset": "error"}))
    assert re.search(rf"has no offset of topic '{topic}', partition 0, and auto.offset.reset is error", text)
