"""A checkpoint that is divided among the members of a stream, and their settings."""

from typing import Any

import pytest
from connectors.sources.kafka.kafka_kit import committed, numbered, numbers, opened, produce, read_stream, stream

from bizon.connectors.sources.kafka.src.source import KafkaSource

GROUP = "mine"
CHECKPOINT: dict[str, Any] = {
    "group": GROUP,
    "topics": {"orders": {"0": [3, 7], "11": [-1, 2]}, "a/b": {"0": [1, 1]}},
    "ids": {"orders": "an-id"},
}


def test_a_checkpoint_is_divided_by_partitions_and_put_together_again() -> None:
    places = KafkaSource.places_of(CHECKPOINT)
    assert places["orders/11"] == {"group": GROUP, "topics": {"orders": {"11": [-1, 2]}}, "ids": {"orders": "an-id"}}
    assert places["a/b/0"] == {"group": GROUP, "topics": {"a/b": {"0": [1, 1]}}}
    assert len(places) == 3
    assert KafkaSource.pagination_of(places) == CHECKPOINT
    assert all(KafkaSource.places_of(place) == {name: place} for name, place in places.items())


@pytest.mark.parametrize("nothing", [{}, {"group": GROUP, "topics": {}}])
def test_a_checkpoint_without_partitions_has_no_places(nothing: dict[str, Any]) -> None:
    assert KafkaSource.places_of(nothing) == {}
    assert KafkaSource.pagination_of({}) == {}


def test_places_of_two_groups_become_the_checkpoint_of_one() -> None:
    """`group_id` has changed, and some places have no checkpoint since."""
    places = KafkaSource.places_of(CHECKPOINT)
    old = {"group": "old", "topics": {"orders": {"5": [8, 9]}}}
    assert KafkaSource.pagination_of({**places, "orders/5": old}) == CHECKPOINT


def test_a_member_is_dynamic_unless_it_is_named() -> None:
    block = stream("localhost:9092", "orders")
    assert block.settings["group.instance.id"] != ""
    assert block.of_member().settings["group.instance.id"] == ""
    named = stream("localhost:9092", "orders", consumer_config={"group.instance.id": "me"})
    assert named.of_member().settings["group.instance.id"] == "me"
    assert block.of_pipeline("pipe").of_member().pipeline_id == "pipe"


def test_a_commit_whose_answer_was_lost_lets_nothing_come_twice(kafka_url: str, kafka_topics: Any) -> None:
    """The group stands between the two offsets of the checkpoint, by a commit of this source: its answer came too late
    for the next checkpoint, and the run died before another one. The messages up to the checkpoint used to come again.
    """
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = stream(kafka_url, topic)
    with opened(block) as source:
        read_stream(source, 10)
    produce(kafka_url, topic, numbered(range(10, 20)))
    assert committed(kafka_url, block.group, topic) == [10]
    checkpoint = {"group": block.group, "topics": {topic: {"0": [4, 15]}}}
    with opened(block) as source:
        assert numbers(read_stream(source, 5, pagination=checkpoint)) == [15, 16, 17, 18, 19]
