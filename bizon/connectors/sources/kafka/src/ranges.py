"""The ranges of offsets that a snapshot still has to read, in its pagination."""

from collections.abc import Mapping
from typing import Any

from bizon.connectors.sources.kafka.src.client import Partition

Ranges = dict[Partition, tuple[int, int]]
"""Next offset and end of partitions; the offset at the end is not read."""


def ranges_of(pagination: Mapping[str, Any]) -> Ranges:
    return {
        (topic, int(number)): (position, end)
        for topic, partitions in pagination["topics"].items()
        for number, (position, end) in partitions.items()
    }


def pagination_of(ranges: Ranges, ids: Mapping[str, str]) -> dict[str, Any]:
    topics: dict[str, dict[str, list[int]]] = {}
    for (topic, number), (position, end) in ranges.items():
        topics.setdefault(topic, {})[str(number)] = [position, end]
    known = {topic: ids[topic] for topic in topics if ids.get(topic)}
    return {"topics": topics, **({"ids": known} if known else {})} if topics else {}
