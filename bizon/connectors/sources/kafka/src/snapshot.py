"""From the start of every partition to the end it had when the run began, without a consumer group.

A page's pagination holds ``[next, end]`` of each partition that is not read to its end yet, so that a run that is
resumed reads exactly the rest. What ends a partition is its position, not a message: the last offsets may belong to
transaction markers, aborted messages or compacted ones.
"""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src.client import (
    REQUEST_TIMEOUT,
    Client,
    Partition,
    fetch_error,
    is_end,
    is_passing,
    split_errors,
    text_of,
)
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

Ranges = dict[Partition, tuple[int, int]]
"""Next offset and end of partitions; the end itself is not read."""

_SLICE = 0.2  # seconds of one wait inside librdkafka; what has arrived by then makes a page
_PATIENCE = 60.0  # seconds without progress after which the run fails; more when consumer_timeout is
_SETTINGS = {"enable.partition.eof": True, "auto.offset.reset": "earliest", "group.instance.id": ""}


class SnapshotReader:
    """Reads ranges of partitions, which it assigns to itself. All calls are on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._consumer: Consumer | None = None
        self._first: Ranges | None = None
        self._assigned: Ranges = {}
        self._left: Ranges = {}

    def total(self) -> int:
        """Offsets between start and end of all partitions; markers and compacted messages among them."""
        return sum(end - start for start, end in self._start().values())

    def read(self, pagination: Mapping[str, Any]) -> tuple[list[Message], dict[str, Any]]:
        """Messages, at most ``batch_size``, and the pagination behind them, ``{}`` at the end. The first page has the
        pagination ``{}``. Raises SourceFetchError, also when nothing arrives for long."""
        self._left = _ranges(pagination) if pagination else self._start()
        self._left = {key: (following, end) for key, (following, end) in self._left.items() if following < end}
        if not self._left:
            return [], {}
        consumer = self._standing_at(self._left)
        before = dict(self._left)
        messages: list[Message] = []
        deadline = time.monotonic() + max(_PATIENCE, self._config.consumer_timeout)
        while self._left == before:
            if time.monotonic() > deadline:
                raise SourceFetchError(self._stuck())
            try:
                found = consumer.consume(self._config.batch_size, _SLICE)
            except KafkaException as error:
                raise SourceFetchError(f"kafka: reading: {text_of(error)}") from None
            messages = self._inside(split_errors(found, self._on_event))
        self._client.heard()
        self._assigned = dict(self._left)
        return messages, _pagination(self._left)

    def close(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _start(self) -> Ranges:
        """The ranges of the run, asked for once."""
        if self._first is None:
            consumer = self._consumer = self._consumer or self._client.consumer(**_SETTINGS)
            self._first = {
                (topic.name, number): self._bounds(consumer, topic.name, number)
                for topic in self._config.topics
                for number in self._client.partitions(consumer, topic.name)
            }
        return self._first

    def _bounds(self, consumer: Consumer, topic: str, number: int) -> tuple[int, int]:
        try:
            bounds = consumer.get_watermark_offsets(TopicPartition(topic, number), REQUEST_TIMEOUT)
        except KafkaException as error:
            raise SourceFetchError(f"kafka: offsets of topic '{topic}', partition {number}: {text_of(error)}") from None
        if bounds is None:
            raise SourceFetchError(f"kafka: offsets of topic '{topic}', partition {number}: no answer")
        return bounds

    def _standing_at(self, ranges: Ranges) -> Consumer:
        """The consumer, reading from there; it already does, from the page before, unless this is the first page."""
        consumer = self._consumer = self._consumer or self._client.consumer(**_SETTINGS)
        if ranges != self._assigned:
            wanted = [TopicPartition(*key, following) for key, (following, _) in ranges.items()]
            consumer.assign(wanted)
            consumer.resume(wanted)  # one that was read to its end before is paused
            self._assigned = dict(ranges)
        return consumer

    def _inside(self, messages: list[Message]) -> list[Message]:
        """The messages before the end of their partition; notes how far they reach."""
        beyond = False
        for key, last in {(message.topic(), message.partition()): message for message in messages}.items():
            offset = last.offset()
            if key not in self._left or offset is None:  # fetched before its partition was paused
                beyond = True
                continue
            end = self._left[key][1]
            beyond = beyond or offset >= end
            self._reached(key, offset + 1)
        if not beyond:
            return messages
        ends = {key: end for key, (_, end) in self._assigned.items()}
        return [each for each in messages if (each.offset() or 0) < ends.get((each.topic(), each.partition()), 0)]  # type: ignore[arg-type]

    def _reached(self, key: Partition, offset: int) -> None:
        if key not in self._left:
            return
        following, end = self._left[key]
        if offset < end:
            self._left[key] = (max(following, offset), end)
            return
        del self._left[key]
        if self._consumer is not None:
            self._consumer.pause([TopicPartition(*key)])

    def _on_event(self, message: Message, error: KafkaError) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if is_end(error):
            if topic is not None and number is not None and offset is not None:
                self._reached((topic, number), offset)
        elif not is_passing(error):
            raise fetch_error(f"reading topic '{topic}'", error)

    def _stuck(self) -> str:
        (topic, number), (following, end) = next(iter(self._left.items()))
        text = f"kafka: topic '{topic}', partition {number} stays at offset {following} before its end {end}"
        return ": ".join(filter(None, (text, self._client.complaint or "was it truncated?")))


def _ranges(pagination: Mapping[str, Any]) -> Ranges:
    return {
        (topic, int(number)): (following, end)
        for topic, partitions in pagination["topics"].items()
        for number, (following, end) in partitions.items()
    }


def _pagination(ranges: Ranges) -> dict[str, Any]:
    topics: dict[str, dict[str, list[int]]] = {}
    for (topic, number), (following, end) in ranges.items():
        topics.setdefault(topic, {})[str(number)] = [following, end]
    return {"topics": topics} if topics else {}
