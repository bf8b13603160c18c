"""Calls to the brokers other than fetching: committed offsets, the bounds of partitions, and the ids of topics."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from bizon.common.bounded_calls import BoundedCalls
from bizon.connectors.sources.kafka.src.client import REQUEST_TIMEOUT, Partition
from bizon.connectors.sources.kafka.src.client_errors import error_of

Commits = BoundedCalls[list[TopicPartition]]
"""The commits of one consumer, outside of its callbacks: a callback keeps the consumer for its own thread."""
NO_OFFSET = -1
"""The committed offset of a group that has none."""
_EARLIEST, _LATEST = -2, -1  # ListOffsets of Kafka takes these instead of a timestamp
_TIMED_OUT = -185  # KafkaError._TIMED_OUT
_OURS = "bizon"  # the metadata of an offset; a tool that moves offsets writes none
_ID = " topic-id="
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # from a broker without topic ids


class CommittedOffset(NamedTuple):
    """The offset that a group has committed for a partition. ``is_ours``: this source committed it, and nobody has
    moved it since. ``topic_id``: the topic for which it was committed; empty when unknown."""

    offset: int = NO_OFFSET
    is_ours: bool = False
    topic_id: str = ""


def committed_offsets(consumer: Consumer, keys: Iterable[Partition]) -> dict[Partition, CommittedOffset]:
    """The committed offsets of the consumer's group. Raises KafkaException when one cannot be read."""
    found = consumer.committed([TopicPartition(*key) for key in keys], timeout=REQUEST_TIMEOUT)
    _raise_first_error(found)
    return {(each.topic, each.partition): _committed_offset(each) for each in found}


def commit_offsets(
    consumer: Consumer, commits: Commits | None, offsets: Mapping[Partition, int], topic_id: Callable[[str], str]
) -> tuple[dict[Partition, int], KafkaError | None]:
    """Commit offsets, marked as committed by this source, with the ids of their topics. Returns the offsets that the
    group has accepted, and the reason when it refuses some or has not answered in time. ``commits``: None within a
    callback of the consumer."""
    wanted = [TopicPartition(*key, offset, _metadata(topic_id(key[0]))) for key, offset in offsets.items()]

    def commit() -> list[TopicPartition]:
        return consumer.commit(offsets=wanted, asynchronous=False) or []

    try:
        answers = commit() if commits is None else commits.call(commit)
    except KafkaException as error:
        return {}, error_of(error)
    except TimeoutError as error:
        return {}, KafkaError(_TIMED_OUT, str(error))
    accepted, failure = {}, None
    for answer in answers:
        if answer.error is None:
            accepted[answer.topic, answer.partition] = answer.offset
        else:
            failure = answer.error
    return accepted, failure


def bounds(consumer: Consumer, keys: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    """The first offset and the end of partitions, in two requests. Raises KafkaException when one cannot be read."""
    wanted = list(keys)
    first, end = (_offsets(consumer, wanted, which) for which in (_EARLIEST, _LATEST))
    return {key: (first[key], end[key]) for key in wanted}


def cached_lag(consumer: Consumer, positions: Mapping[Partition, int]) -> int | None:
    """Messages from the positions to the ends of their partitions, as of the last fetch; None before the first."""
    lag, is_known = 0, False
    for key, position in positions.items():
        found = consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
        if found is not None and found[1] >= 0:
            lag, is_known = lag + max(found[1] - position, 0), True
    return lag if is_known else None


def topic_ids(settings: dict[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """The ids of topics. A topic that is deleted and created again gets a new one. Empty when the broker has no ids, or
    does not answer."""
    wanted = sorted(set(topics))
    ids = dict.fromkeys(wanted, "")
    with suppress(KafkaException, ValueError):
        admin = AdminClient(settings)  # answers arrive only while it lives
        answers = admin.describe_topics(TopicCollection(wanted), request_timeout=REQUEST_TIMEOUT)
        for topic, answer in answers.items():
            with suppress(KafkaException, TimeoutError):
                ids[topic] = str(answer.result(REQUEST_TIMEOUT).topic_id).replace(_NO_ID, "")
    return ids


def _offsets(consumer: Consumer, keys: list[Partition], which: int) -> dict[Partition, int]:
    found = consumer.offsets_for_times([TopicPartition(*key, which) for key in keys], timeout=REQUEST_TIMEOUT)
    _raise_first_error(found)
    return {(each.topic, each.partition): each.offset for each in found}


def _raise_first_error(found: Iterable[TopicPartition]) -> None:
    error = next((each.error for each in found if each.error is not None), None)
    if error is not None:
        raise KafkaException(error)


def _metadata(topic_id: str) -> str:
    return f"{_OURS}{_ID}{topic_id}" if topic_id else _OURS


def _committed_offset(found: TopicPartition) -> CommittedOffset:
    owner, _, topic_id = (found.metadata or "").partition(_ID)
    return CommittedOffset(max(found.offset, NO_OFFSET), owner == _OURS, topic_id)
