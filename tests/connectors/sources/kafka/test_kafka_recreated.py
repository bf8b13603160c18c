"""A topic that is deleted and created again is known by its id, on brokers that give topics one."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from connectors.sources.kafka.kafka_kit import (
    PATIENCE,
    committed,
    delete_group,
    logged,
    numbered,
    numbers,
    opened,
    produce,
    read_stream,
    recreate,
)
from connectors.sources.kafka.test_kafka_loss import error_of, make, read

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import group, start_offsets
from bizon.connectors.sources.kafka.src.broker_calls import topic_ids
from bizon.connectors.sources.kafka.src.client import Client

Topics = Callable[..., str]


@pytest.mark.parametrize("knows", ["group", "checkpoint"])
def test_a_recreated_topic_is_recognised_by_its_id(
    kafka_url: str, kafka_topics: Topics, monkeypatch: pytest.MonkeyPatch, knows: str
) -> None:
    """Also when the new topic has more messages. The ids are stand-ins: no broker of the tests has topic ids, keeps the
    metadata of offsets, and lets a member join at once."""
    ids = iter(["first", "second"])
    monkeypatch.setattr(start_offsets, "topic_ids", lambda _, topics: dict.fromkeys(topics, next(ids)))
    topic = kafka_topics()
    block = make(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(10)))
    checkpoint = read(block, 10)
    recreate(kafka_url, topic)
    produce(kafka_url, topic, numbered(range(20)))
    if knows == "checkpoint":
        delete_group(kafka_url, block.group)
    text = error_of(block, checkpoint if knows == "checkpoint" else {})
    assert f"topic '{topic}', partition 0: was read up to offset 10, then its topic was deleted and created" in text


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_a_topic_that_is_recreated_during_the_run_is_recognised_by_its_id(
    kafka_url: str, kafka_topics: Topics, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    ids = {"now": "first"}
    monkeypatch.setattr(start_offsets, "topic_ids", lambda _, topics: dict.fromkeys(topics, ids["now"]))
    monkeypatch.setattr(group, "_IDS_INTERVAL", 0.0)
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    block = make(kafka_url, topic, on_data_loss=policy, batch_size=5)
    with opened(block) as source:
        read_stream(source, 5)
        ids["now"] = "second"
        if policy == "fail":
            with pytest.raises(SourceFetchError, match="its topic was deleted and created again"):
                read_stream(source, 15)
            return
        with logged() as lines:
            assert numbers(read_stream(source, 15)) == [*range(5, 10), *range(10)]
    assert len(lines) == 1
    assert "was read up to offset 10, then its topic was deleted and created again" in lines[0]
    assert committed(kafka_url, block.group, topic) == [10]


def test_topic_ids_differ_on_a_broker_that_has_them(tansu_url: str) -> None:
    topic = f"again-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": tansu_url})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    settings = Client(make(tansu_url, topic)).settings
    first = topic_ids(settings, [topic])
    assert first[topic]
    assert topic_ids(settings, [topic]) == first
    recreate(tansu_url, topic)
    assert topic_ids(settings, [topic]) != first
    assert topic_ids(settings, ["no-such-topic"]) == {"no-such-topic": ""}
