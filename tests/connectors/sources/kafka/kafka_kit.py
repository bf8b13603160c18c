"""Helpers of the Kafka source tests: messages, sources, and reading pages to their end."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from loguru import logger

from bizon.common.clock import utc_now
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.connectors.sources.kafka.src.source import KafkaSource
from bizon.rows.pages import page_to_frame
from bizon.source.models import SourceIteration

PATIENCE = 60  # seconds
PLAIN = {"security.protocol": "PLAINTEXT"}


def produce(url: str, topic: str, values: Iterable[bytes | None], partition: int = 0, **message: Any) -> None:
    """Send values to a partition, and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": url})
    failed: list[Any] = []
    for value in values:
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    partition=partition,
                    on_delivery=lambda error, _: error and failed.append(error),
                    **message,
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(PATIENCE) == 0
    assert not failed


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in numbers]


def produce_transaction(url: str, topic: str, values: list[bytes], *, commit: bool) -> None:
    """A transaction, which leaves a marker at the end of the partition."""
    producer = Producer({"bootstrap.servers": url, "transactional.id": f"tx-{uuid4().hex}"})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    producer.flush(PATIENCE)
    (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE)


def add_partitions(url: str, topic: str, total: int) -> None:
    admin = AdminClient({"bootstrap.servers": url})
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(PATIENCE)


def committed(url: str, group: str, topic: str, partitions: int = 1) -> list[int]:
    """The committed offsets of a group; negative without one."""
    consumer = Consumer({"bootstrap.servers": url, "group.id": group})
    try:
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        return [found.offset for found in consumer.committed(wanted, timeout=PATIENCE)]
    finally:
        consumer.close()


def set_committed(url: str, group: str, topic: str, offset: int) -> None:
    """Set the offset of an empty group, as an operator does."""
    consumer = Consumer({"bootstrap.servers": url, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def delete_records(url: str, topic: str, before: int, partition: int = 0) -> None:
    """Remove the messages before an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": url})
    admin.delete_records([TopicPartition(topic, partition, before)])[TopicPartition(topic, partition)].result(PATIENCE)


def recreate(url: str, topic: str, partitions: int = 1) -> None:
    """Delete a topic, and create it again."""
    admin = AdminClient({"bootstrap.servers": url})
    admin.delete_topics([topic])[topic].result(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE)
        except KafkaException:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def delete_group(url: str, group: str) -> None:
    """Remove an empty group with its offsets, as an operator does, or the broker after a week."""
    admin = AdminClient({"bootstrap.servers": url})  # answers arrive only while it lives
    admin.delete_consumer_groups([group])[group].result(PATIENCE)


@contextmanager
def logged(level: str = "WARNING") -> Iterator[list[str]]:
    """The log lines from within the block."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line).rstrip()), level=level, format="{message}")
    try:
        yield lines
    finally:
        logger.remove(sink)


def config(url: str, *topics: str, **keys: Any) -> KafkaSourceConfig:
    """A source block without TLS; ``destination_id`` of a topic after a colon."""
    settings = {**PLAIN, **keys.pop("consumer_config", {})}
    named = [dict(zip(("name", "destination_id"), topic.split(":"), strict=False)) for topic in topics]
    defaults = {"message_encoding": "utf-8", "consumer_timeout": 10, "group_id": f"group-{uuid4().hex}"}
    return KafkaSourceConfig.model_validate(
        {
            "name": "kafka",
            "stream": "topic",
            "topics": named,
            "bootstrap_servers": url,
            "consumer_config": settings,
            **defaults,
            **keys,
        }
    )


def stream(url: str, *topics: str, **keys: Any) -> KafkaSourceConfig:
    """The same in sync mode stream."""
    return config(url, *topics, sync_mode="stream", **keys)


@contextmanager
def opened(block: KafkaSourceConfig) -> Iterator[KafkaSource]:
    """A source that is closed at the end."""
    source = KafkaSource(block)
    try:
        yield source
    finally:
        source.close()


def rows(page: SourceIteration) -> list[dict[str, Any]]:
    """The records of a page: the columns of its source frame, ``data`` parsed."""
    frame = page_to_frame(page.records, utc_now())
    return [{**row, "data": json.loads(row["data"])} for row in frame.to_dicts()]


def numbers(pages: Iterable[SourceIteration]) -> list[int]:
    return [row["data"]["value"]["n"] for page in pages for row in rows(page)]


def read_all(source: KafkaSource, pagination: dict[str, Any] | None = None) -> list[SourceIteration]:
    """Every page of a full refresh."""
    pages = [source.get(pagination or {})]
    while pages[-1].next_pagination:
        pages.append(source.get(pages[-1].next_pagination))
    return pages


def read_stream(
    source: KafkaSource, count: int, *, commit: bool = True, pagination: dict[str, Any] | None = None
) -> list[SourceIteration]:
    """Pages of a stream until they hold ``count`` records."""
    pages: list[SourceIteration] = []
    found, deadline = 0, time.monotonic() + PATIENCE
    while found < count:
        assert time.monotonic() < deadline, f"{found} of {count} records"
        page = source.get(pagination if pagination and not pages else {})
        if page.records != []:
            pages.append(page)
            found += len(rows(page))
            if commit:
                source.commit()
    assert found == count
    return pages


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
