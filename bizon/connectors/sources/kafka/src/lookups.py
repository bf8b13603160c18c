"""What the brokers are asked beside messages: where a group stands, where partitions begin and end, ids of topics."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from bizon.connectors.sources.kafka.src.client import REQUEST_TIMEOUT, Partition

NOTHING = -1
"""The offset of a group that has none."""
_EARLIEST, _LATEST = -2, -1  # what Kafka's ListOffsets takes in place of a moment
_OURS = "bizon"  # the metadata of an offset; a tool that moves offsets writes none
_ID = " topic-id="
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # of a broker that gives topics none


class Stand(NamedTuple):
    """What a group has committed of a partition. ``is_ours``: by this source, and not by somebody who moved it;
    ``topic_id`` of the topic it was committed for, where known."""

    offset: int = NOTHING
    is_ours: bool = False
    topic_id: str = ""


def stands(consumer: Consumer, keys: Iterable[Partition]) -> dict[Partition, Stand]:
    """Where the group of ``consumer`` stands. Raises KafkaException when it is not told."""
    found = consumer.committed([TopicPartition(*key) for key in keys], timeout=REQUEST_TIMEOUT)
    failed = next((each.error for each in found if each.error is not None), None)
    if failed is not None:
        raise KafkaException(failed)
    return {(each.topic, each.partition): _stand(each) for each in found}


def marked(key: Partition, offset: int, topic_id: str) -> TopicPartition:
    """An offset to commit, which ``stands`` knows again, with the id of the topic."""
    return TopicPartition(*key, offset, f"{_OURS}{_ID}{topic_id}" if topic_id else _OURS)


def bounds(consumer: Consumer, keys: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    """The first offset and the end of partitions, in two requests. Raises KafkaException when one is not told."""
    wanted = list(keys)
    first, end = (_offsets(consumer, wanted, which) for which in (_EARLIEST, _LATEST))
    return {key: (first[key], end[key]) for key in wanted}


def topic_ids(settings: dict[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """The ids of topics, which a topic that is deleted and created again does not keep; empty where the broker has
    none, or does not tell."""
    wanted = sorted(set(topics))
    ids = dict.fromkeys(wanted, "")
    with suppress(KafkaException, ValueError):
        admin = AdminClient(settings)  # answers come as long as it lives
        told = admin.describe_topics(TopicCollection(wanted), request_timeout=REQUEST_TIMEOUT)
        for topic, answer in told.items():
            with suppress(KafkaException, TimeoutError):
                ids[topic] = str(answer.result(REQUEST_TIMEOUT).topic_id).replace(_NO_ID, "")
    return ids


def _offsets(consumer: Consumer, keys: list[Partition], which: int) -> dict[Partition, int]:
    found = consumer.offsets_for_times([TopicPartition(*key, which) for key in keys], timeout=REQUEST_TIMEOUT)
    failed = next((each.error for each in found if each.error is not None), None)
    if failed is not None:
        raise KafkaException(failed)
    return {(each.topic, each.partition): each.offset for each in found}


def _stand(found: TopicPartition) -> Stand:
    owner, _, topic_id = (found.metadata or "").partition(_ID)
    return Stand(max(found.offset, NOTHING), owner == _OURS, topic_id)
