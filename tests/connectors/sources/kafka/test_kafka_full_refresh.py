"""A full refresh of topics, from their start to their end when the run begins, on a real broker."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from connectors.sources.kafka.kafka_kit import (
    PATIENCE,
    config,
    delete_records,
    logged,
    numbered,
    numbers,
    opened,
    produce,
    produce_transaction,
    read_all,
    recreate,
    rows,
)

from bizon.common.errors.errors import SourceFetchError

Topics = Callable[..., str]


@pytest.mark.lesson("F-39")
def test_every_message_of_every_partition_comes_once(kafka_url: str, kafka_topics: Topics) -> None:
    """The source used to keep only the offset of the partition of the last message in a page: 100 messages became
    150."""
    topic = kafka_topics(partitions=3)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(partition * 50, partition * 50 + 50)), partition)
    with opened(config(kafka_url, topic, batch_size=7)) as source:
        assert source.get_total_records_count() == 100
        pages = read_all(source)
    assert sorted(numbers(pages)) == list(range(100))
    assert max(len(rows(page)) for page in pages) <= 7


def test_messages_sent_after_the_start_are_not_read(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(20)))
    with opened(config(kafka_url, topic, batch_size=8)) as source:
        first = source.get({})
        produce(kafka_url, topic, numbered(range(20, 40)))
        pages = [first, *read_all(source, first.next_pagination)]
    assert numbers(pages) == list(range(20))


def test_another_process_resumes_with_the_pagination_alone(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics(partitions=2)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(partition * 30, partition * 30 + 30)), partition)
    block = config(kafka_url, topic, batch_size=11)
    with opened(block) as source:
        pages = [source.get({})]
    produce(kafka_url, topic, numbered(range(100, 120)))
    while pages[-1].next_pagination:
        with opened(block) as source:
            pages.append(source.get(pages[-1].next_pagination))
    assert sorted(numbers(pages)) == list(range(60))


@pytest.mark.lesson("F-39")
def test_pages_whose_messages_are_all_skipped_do_not_end_it(kafka_url: str, kafka_topics: Topics) -> None:
    """A batch of skipped messages alone used to end a full refresh early."""
    topic = kafka_topics()
    produce(kafka_url, topic, [*numbered([0]), *[None] * 30, *numbered([1])])
    with opened(config(kafka_url, topic, batch_size=5)) as source:
        pages = read_all(source)
    assert numbers(pages) == [0, 1]
    assert any(page.records == [] and page.next_pagination for page in pages)


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
def test_a_transaction_at_the_end_ends_the_read(kafka_url: str, kafka_topics: Topics, commit: bool) -> None:
    """The last offset belongs to a marker, never to a message."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered([0, 1]))
    produce_transaction(kafka_url, topic, numbered([2, 3]), commit=commit)
    with opened(config(kafka_url, topic)) as source:
        assert source.get_total_records_count() == 5
        pages = read_all(source)
    assert numbers(pages) == ([0, 1, 2, 3] if commit else [0, 1])


def test_messages_deleted_during_the_run_do_not_stop_it(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(30)))
    block = config(kafka_url, topic, batch_size=10)
    with opened(block) as source:
        first = source.get({})
    admin = AdminClient({"bootstrap.servers": kafka_url})
    for done in admin.delete_records([TopicPartition(topic, 0, 30)]).values():
        done.result(PATIENCE)
    produce(kafka_url, topic, numbered([99]))
    with opened(block) as source:
        assert numbers(read_all(source, first.next_pagination)) == []


def test_an_empty_topic_is_done_at_once(kafka_url: str, kafka_topics: Topics) -> None:
    with opened(config(kafka_url, kafka_topics(partitions=2))) as source:
        page = source.get({})
        assert source.get_total_records_count() == 0
    assert (page.records, page.next_pagination) == ([], {})


def test_several_topics_are_read_and_their_ids_stay_apart(kafka_url: str, kafka_topics: Topics) -> None:
    topics = [kafka_topics(), kafka_topics()]
    for topic in topics:
        produce(kafka_url, topic, numbered([1]))
    with opened(config(kafka_url, *topics)) as source:
        found = [row for page in read_all(source) for row in rows(page)]
    assert sorted(row["id"] for row in found) == sorted(f"{topic}_partition_0_offset_0" for topic in topics)
    assert sorted(row["data"]["topic"] for row in found) == sorted(topics)


@pytest.mark.lesson("F-39")
def test_the_total_counts_from_the_first_message_left(kafka_url: str, kafka_topics: Topics) -> None:
    """The total used to be the sum of end offsets, including deleted messages."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    admin = AdminClient({"bootstrap.servers": kafka_url})
    for done in admin.delete_records([TopicPartition(topic, 0, 4)]).values():
        done.result(PATIENCE)
    with opened(config(kafka_url, topic)) as source:
        assert source.get_total_records_count() == 6
        assert numbers(read_all(source)) == [4, 5, 6, 7, 8, 9]


def test_no_offset_is_committed(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered([1]))
    block = config(kafka_url, topic)
    with opened(block) as source:
        read_all(source)
        source.commit()
    consumer = Consumer({"bootstrap.servers": kafka_url, "group.id": block.group_id})
    try:
        assert consumer.committed([TopicPartition(topic, 0)], timeout=PATIENCE)[0].offset < 0
    finally:
        consumer.close()


def test_messages_deleted_during_the_run_are_counted(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(30)))
    block = config(kafka_url, topic, batch_size=10)
    with opened(block) as source:
        first = source.get({})
    delete_records(kafka_url, topic, 15)
    produce(kafka_url, topic, numbered([99]))
    with logged() as lines, opened(block) as source:
        assert numbers(read_all(source, first.next_pagination)) == list(range(15, 30))
    assert [line for line in lines if "5 messages (offsets 10 to 14) were removed" in line]


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_a_topic_that_is_truncated_between_two_runs_is_reported(
    kafka_url: str, kafka_topics: Topics, policy: str
) -> None:
    topic = kafka_topics(partitions=2)
    for partition in range(2):
        produce(kafka_url, topic, numbered(range(30)), partition)
    block = config(kafka_url, topic, batch_size=10, on_data_loss=policy)
    with opened(block) as source:
        first = source.get({})
    recreate(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(12)))
    if policy == "fail":
        with opened(block) as source, pytest.raises(SourceFetchError, match=r"now ends at 12.*--fresh"):
            source.get(first.next_pagination)
        return
    with logged() as lines, opened(block) as source:
        read_all(source, first.next_pagination)
    assert [line for line in lines if "now ends at 12" in line]
    assert [line for line in lines if "partition 1" in line and "no longer exists" in line]


def test_a_recreated_topic_is_recognised_by_its_id(tansu_url: str) -> None:
    """On a broker with topic ids, also when the new topic has more messages."""
    topic = f"again-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": tansu_url})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    for number in range(4):  # one by one: the broker reports a wrong end for a batch
        produce(tansu_url, topic, numbered([number]))
    block = config(tansu_url, topic, batch_size=1)
    with opened(block) as source:
        first = source.get({})
    assert first.next_pagination["ids"][topic]
    recreate(tansu_url, topic)
    for number in range(6):
        produce(tansu_url, topic, numbered([number]))
    with opened(block) as source, pytest.raises(SourceFetchError, match="its topic was deleted and created again"):
        source.get(first.next_pagination)
