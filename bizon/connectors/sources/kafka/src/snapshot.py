"""From the start of every partition to the end it had when the run began, without a consumer group.

A page's pagination holds ``[next, end]`` of each partition that is not read to its end yet, so that a run that is
resumed reads exactly the rest. What ends a partition is its position, not a message: the last offsets may belong to
transaction markers, aborted messages or compacted ones.

Messages that are removed in between are counted in the log, whatever ``on_data_loss`` says: a full refresh has what
the topic has. A partition that is cut off at its end, gone or another topic's is for ``on_data_loss`` to decide.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import loss
from bizon.connectors.sources.kafka.src.client import (
    Client,
    Partition,
    fetch_error,
    is_astray,
    is_end,
    is_passing,
    split_errors,
    text_of,
)
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.connectors.sources.kafka.src.lookups import bounds, topic_ids
from bizon.connectors.sources.kafka.src.loss import LossPolicy

Ranges = dict[Partition, tuple[int, int]]
"""Next offset and end of partitions; the end itself is not read."""

_SLICE = 0.2  # seconds of one wait inside librdkafka; what has arrived by then makes a page
_PATIENCE = 60.0  # seconds without progress after which the run fails; more when consumer_timeout is
_SETTINGS = {"enable.partition.eof": True, "auto.offset.reset": "error", "group.instance.id": ""}
_REMEDY = "start again with --fresh; source.on_data_loss: warn goes on with what is there"


class SnapshotReader:
    """Reads ranges of partitions, which it assigns to itself. All calls are on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._consumer: Consumer | None = None
        self._first: Ranges | None = None
        self._assigned: Ranges = {}
        self._left: Ranges = {}
        self._astray: set[Partition] = set()  # the broker does not have what is to be read next
        self._ids: dict[str, str] = {}
        self._policy = LossPolicy(config.on_data_loss, _REMEDY)

    def total(self) -> int:
        """Offsets between start and end of all partitions; markers and compacted messages among them."""
        return sum(end - start for start, end in self._start().values())

    def read(self, pagination: Mapping[str, Any]) -> tuple[list[Message], dict[str, Any]]:
        """Messages, at most ``batch_size``, and the pagination behind them, ``{}`` at the end. The first page has the
        pagination ``{}``. Raises SourceFetchError, also when nothing arrives for long."""
        self._left = self._resumed(pagination) if pagination else self._start()
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
            if self._astray:
                self._find_again(consumer)
        self._client.heard()
        self._assigned = dict(self._left)
        return messages, _pagination(self._left, self._ids)

    def close(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _start(self) -> Ranges:
        """The ranges of the run, asked for once."""
        if self._first is None:
            self._first = self._bounds(self._partitions())
            self._ids = self._ids or topic_ids(self._client.settings, self._names)
        return self._first

    @property
    def _names(self) -> list[str]:
        return [topic.name for topic in self._config.topics]

    def _connected(self) -> Consumer:
        self._consumer = self._consumer or self._client.consumer(**_SETTINGS)
        return self._consumer

    def _partitions(self) -> list[Partition]:
        consumer = self._connected()
        return [(name, number) for name in self._names for number in self._client.partitions(consumer, name)]

    def _bounds(self, keys: Iterable[Partition]) -> Ranges:
        try:
            return bounds(self._connected(), keys)
        except KafkaException as error:
            raise SourceFetchError(f"kafka: offsets of topics {', '.join(self._names)}: {text_of(error)}") from None

    def _resumed(self, pagination: Mapping[str, Any]) -> Ranges:
        """What a pagination says is left, as far as it is there: that is looked at when a run is resumed."""
        ranges = _ranges(pagination)
        if self._assigned:
            return ranges
        ids = topic_ids(self._client.settings, self._names)
        there = self._bounds(key for key in self._partitions() if key in ranges)
        before = pagination.get("ids", {})
        others = {topic for topic, now in ids.items() if now and before.get(topic, now) != now}
        self._report(_missing(key, each, there.get(key), key[0] in others) for key, each in ranges.items())
        self._ids = ids
        return {
            key: (max(following, there[key][0]), min(end, there[key][1]))
            for key, (following, end) in ranges.items()
            if key in there
        }

    def _find_again(self, consumer: Consumer) -> None:
        """Go on with partitions that have lost what was to be read next, if ``on_data_loss`` has it so."""
        keys = [key for key in self._astray if key in self._left]
        self._astray.clear()
        there = self._bounds(keys)
        self._report(_missing(key, self._left[key], there[key]) for key in keys)
        for key in keys:
            (following, end), (first, now) = self._left[key], there[key]
            self._reached(key, end if following > now else max(following, first))
        consumer.assign([TopicPartition(*key, following) for key, (following, _) in self._left.items()])

    def _report(self, found: Iterable[loss.Loss | None]) -> None:
        losses = [each for each in found if each is not None]
        self._policy.report([each for each in losses if each.missing is None])
        self._policy.report([each for each in losses if each.missing is not None], only_warn=True)

    def _standing_at(self, ranges: Ranges) -> Consumer:
        """The consumer, reading from there; it already does, from the page before, unless this is the first page."""
        consumer = self._connected()
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
        elif is_astray(error) and topic is not None and number is not None:
            self._astray.add((topic, number))
        elif not is_passing(error):
            raise fetch_error(f"reading topic '{topic}'", error)

    def _stuck(self) -> str:
        (topic, number), (following, end) = next(iter(self._left.items()))
        text = f"kafka: topic '{topic}', partition {number} stays at offset {following} before its end {end}"
        return ": ".join(filter(None, (text, self._client.complaint or "was it truncated?")))


def _missing(
    key: Partition, left: tuple[int, int], there: tuple[int, int] | None, is_another: bool = False
) -> loss.Loss | None:
    """What is gone of the part of a partition that is ``left``; ``there``: its bounds now."""
    following, end = left
    if there is None:
        return loss.gone(key, following)
    if is_another:
        return loss.recreated(key, following)
    first, now = there
    return loss.gap(key, following, (min(first, end), now)) or (loss.cut(key, end, now) if end > now else None)


def _ranges(pagination: Mapping[str, Any]) -> Ranges:
    return {
        (topic, int(number)): (following, end)
        for topic, partitions in pagination["topics"].items()
        for number, (following, end) in partitions.items()
    }


def _pagination(ranges: Ranges, ids: Mapping[str, str]) -> dict[str, Any]:
    topics: dict[str, dict[str, list[int]]] = {}
    for (topic, number), (following, end) in ranges.items():
        topics.setdefault(topic, {})[str(number)] = [following, end]
    known = {topic: ids[topic] for topic in topics if ids.get(topic)}
    return {"topics": topics, **({"ids": known} if known else {})} if topics else {}
