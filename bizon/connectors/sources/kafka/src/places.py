"""A checkpoint of the stream divided by partitions, and put together again."""

from collections.abc import Mapping
from typing import Any


def places_of(pagination: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The checkpoint of each partition, by a name such as ``orders/3``."""
    ids = pagination.get("ids", {})
    common = {key: value for key, value in pagination.items() if key not in ("topics", "ids")}
    return {
        place_of(topic, int(number)): {
            **common,
            "topics": {topic: {number: offsets}},
            **({"ids": {topic: ids[topic]}} if topic in ids else {}),
        }
        for topic, partitions in pagination.get("topics", {}).items()
        for number, offsets in partitions.items()
    }


def pagination_of(places: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The checkpoint of several partitions. It is of one group, the one that most of them are of: the others start at
    the offsets of the group, as after any change of ``group_id``."""
    groups = [place.get("group") for place in places.values()]
    group = max(groups, key=groups.count, default=None)
    topics: dict[str, dict[str, Any]] = {}
    ids: dict[str, str] = {}
    common: dict[str, Any] = {}
    for place in places.values():
        if place.get("group") == group:
            common.update({key: value for key, value in place.items() if key not in ("topics", "ids")})
            ids.update(place.get("ids", {}))
            for topic, partitions in place["topics"].items():
                topics.setdefault(topic, {}).update(partitions)
    return {**common, "topics": topics, **({"ids": ids} if ids else {})} if topics else {}


def place_of(topic: str, number: int) -> str:
    """The name of a partition."""
    return f"{topic}/{number}"
