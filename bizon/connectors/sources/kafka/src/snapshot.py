"""From the start of every partition to the end it had when the run began, without a consumer group.

The pagination of a page holds ``[next, end]`` of each partition that is not read to its end yet, so that a resumed run
reads exactly the rest. A partition ends at a position, not at a message: its last offsets may belong to transaction
markers, aborted messages or compacted ones.

Messages that are removed in the meantime cause a warning, whatever ``on_data_loss`` is: a full refresh delivers the
current content of the topic. ``on_data_loss`` decides about a partition that was truncated, removed or recreated.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import data_loss
from bizon.connectors.sources.kafka.src.broker_calls import bounds, topic_ids
from bizon.connectors.sources.kafka.src.client_errors import (
    fetch_error,
    is_end,
    is_out_of_range,
    is_transient,
    split_errors,
    text_of,
)
from bizon.connectors.sources.kafka.src.data_loss import DataLoss, DataLossPolicy
from bizon.connectors.sources.kafka.src.ranges import Ranges, pagination_of, ranges_of

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.client import Client, Partition
    from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

_SLICE = 0.2  # seconds of one wait inside librdkafka; the messages that have arrived by then become a page
_PATIENCE = 60.0  # seconds without progress before the run fails; consumer_timeout if that is longer
_SETTINGS = {"enable.partition.eof": True, "auto.offset.reset": "error", "group.instance.id": ""}
_REMEDY = "start again with --fresh; source.on_data_loss: warn continues with the messages that are left"


class SnapshotReader:
    """Reads ranges of partitions, which it assigns to itself. All calls are on the thread that fetches."""

    def __init__(self, config: "KafkaSourceConfig", client: "Client") -> None:
        self._config = config
        self._client = client
        self._consumer: Consumer | None = None
        self._whole: Ranges | None = None
        self._assigned: Ranges = {}
        self._remaining: Ranges = {}
        self._out_of_range: set[Partition] = set()  # the broker does not have the offset to read next
        self._ids: dict[str, str] = {}
        self._policy = DataLossPolicy(config.on_data_loss, _REMEDY)

    def total(self) -> int:
        """Offsets between start and end of all partitions, including markers and compacted messages."""
        return sum(end - start for start, end in self._whole_ranges().values())

    def read(self, pagination: Mapping[str, Any]) -> tuple[list[Message], dict[str, Any]]:
        """The messages of a page, at most ``batch_size``, and the pagination of the next page, ``{}`` at the end. The
        pagination of the first page is ``{}``. Raises SourceFetchError, also when no message arrives for too long."""
        ranges = self._resumed(pagination) if pagination else self._whole_ranges()
        self._remaining = {key: (position, end) for key, (position, end) in ranges.items() if position < end}
        if not self._remaining:
            return [], {}
        consumer = self._consumer_at(self._remaining)
        before = dict(self._remaining)
        messages: list[Message] = []
        deadline = time.monotonic() + max(_PATIENCE, self._config.consumer_timeout)
        while self._remaining == before:
            if time.monotonic() > deadline:
                raise SourceFetchError(self._no_progress())
            try:
                found = consumer.consume(self._config.batch_size, _SLICE)
            except KafkaException as error:
                raise SourceFetchError(f"kafka: reading: {text_of(error)}") from None
            messages = self._before_end(split_errors(found, self._on_event))
            if self._out_of_range:
                self._recover_positions(consumer)
        self._client.recovered()
        self._assigned = dict(self._remaining)
        return messages, pagination_of(self._remaining, self._ids)

    def close(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _whole_ranges(self) -> Ranges:
        """All ranges of the run, looked up once."""
        if self._whole is None:
            self._whole = self._bounds(self._partitions())
            self._ids = self._ids or topic_ids(self._client.settings, self._names)
        return self._whole

    @property
    def _names(self) -> list[str]:
        return [topic.name for topic in self._config.topics]

    def _connected(self) -> Consumer:
        self._consumer = self._consumer or self._client.consumer(**_SETTINGS)
        return self._consumer

    def _partitions(self) -> list["Partition"]:
        consumer = self._connected()
        return [(name, number) for name in self._names for number in self._client.partitions(consumer, name)]

    def _bounds(self, keys: Iterable["Partition"]) -> Ranges:
        try:
            return bounds(self._connected(), keys)
        except KafkaException as error:
            names = ", ".join(self._names)
            raise SourceFetchError(f"kafka: could not read the offsets of topics {names}: {text_of(error)}") from None

    def _resumed(self, pagination: Mapping[str, Any]) -> Ranges:
        """The ranges of a pagination. On the first page of a resumed run they are limited to the messages that still
        exist."""
        ranges = ranges_of(pagination)
        if self._assigned:
            return ranges
        ids = topic_ids(self._client.settings, self._names)
        existing = self._bounds(key for key in self._partitions() if key in ranges)
        before = pagination.get("ids", {})
        recreated = {topic for topic, now in ids.items() if now and before.get(topic, now) != now}
        losses = (_loss(key, each, existing.get(key), key[0] in recreated) for key, each in ranges.items())
        self._report(losses)
        self._ids = ids
        return {
            key: (max(position, existing[key][0]), min(end, existing[key][1]))
            for key, (position, end) in ranges.items()
            if key in existing
        }

    def _recover_positions(self, consumer: Consumer) -> None:
        """Move on in partitions that have lost the next message, if ``on_data_loss`` allows it."""
        keys = [key for key in self._out_of_range if key in self._remaining]
        self._out_of_range.clear()
        existing = self._bounds(keys)
        self._report(_loss(key, self._remaining[key], existing[key]) for key in keys)
        for key in keys:
            (position, end), (first, current_end) = self._remaining[key], existing[key]
            self._advance(key, end if position > current_end else max(position, first))
        consumer.assign([TopicPartition(*key, position) for key, (position, _) in self._remaining.items()])

    def _report(self, found: Iterable[DataLoss | None]) -> None:
        losses = [each for each in found if each is not None]
        self._policy.report([each for each in losses if each.missing is None])
        self._policy.warn([each for each in losses if each.missing is not None])

    def _consumer_at(self, ranges: Ranges) -> Consumer:
        """The consumer at these positions. After the previous page it is there already; on the first page it is not."""
        consumer = self._connected()
        if ranges != self._assigned:
            wanted = [TopicPartition(*key, position) for key, (position, _) in ranges.items()]
            consumer.assign(wanted)
            consumer.resume(wanted)  # a partition that was read to its end is paused
            self._assigned = dict(ranges)
        return consumer

    def _before_end(self, messages: list[Message]) -> list[Message]:
        """The messages before the end of their partition; advances the positions."""
        beyond = False
        for key, last in {(message.topic(), message.partition()): message for message in messages}.items():
            offset = last.offset()
            if key not in self._remaining or offset is None:  # fetched before its partition was paused
                beyond = True
                continue
            end = self._remaining[key][1]
            beyond = beyond or offset >= end
            self._advance(key, offset + 1)
        if not beyond:
            return messages
        ends = {key: end for key, (_, end) in self._assigned.items()}
        return [each for each in messages if (each.offset() or 0) < ends.get((each.topic(), each.partition()), 0)]  # type: ignore[arg-type]

    def _advance(self, key: "Partition", offset: int) -> None:
        if key not in self._remaining:
            return
        position, end = self._remaining[key]
        if offset < end:
            self._remaining[key] = (max(position, offset), end)
            return
        del self._remaining[key]
        if self._consumer is not None:
            self._consumer.pause([TopicPartition(*key)])

    def _on_event(self, message: Message, error: KafkaError) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if is_end(error):
            if topic is not None and number is not None and offset is not None:
                self._advance((topic, number), offset)
        elif is_out_of_range(error) and topic is not None and number is not None:
            self._out_of_range.add((topic, number))
        elif not is_transient(error):
            raise fetch_error(f"reading topic '{topic}'", error)

    def _no_progress(self) -> str:
        (topic, number), (position, end) = next(iter(self._remaining.items()))
        text = f"kafka: topic '{topic}', partition {number} stays at offset {position} before its end {end}"
        return ": ".join(filter(None, (text, self._client.last_error or "was it truncated?")))


def _loss(
    key: "Partition", remaining: tuple[int, int], existing: tuple[int, int] | None, is_recreated: bool = False
) -> DataLoss | None:
    """The loss in the ``remaining`` range of a partition; ``existing``: its current bounds."""
    position, end = remaining
    if existing is None:
        return data_loss.removed_partition(key, position)
    if is_recreated:
        return data_loss.recreated_topic(key, position)
    first, current_end = existing
    lost = data_loss.out_of_bounds(key, position, (min(first, end), current_end))
    return lost or (data_loss.truncated(key, end, current_end) if end > current_end else None)
