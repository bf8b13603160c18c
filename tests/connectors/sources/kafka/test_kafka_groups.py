"""The consumer group of a pipeline that names none, and the move from the one that all of them had."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from connectors.sources.kafka.kafka_kit import (
    committed,
    numbered,
    numbers,
    opened,
    produce,
    read_stream,
    set_committed,
    stream,
    told,
)

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import older_group
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.engine.engine import load_config
from bizon.engine.runner.assembly import build_source

Topics = Callable[..., str]


def group_of(folder: Path, name: str, **source: Any) -> str:
    """The group of a pipeline with this name, as the runner makes its source."""
    block = {
        "name": "kafka",
        "stream": "topic",
        "sync_mode": "stream",
        "topics": [{"name": "orders"}],
        "bootstrap_servers": "localhost:9092",
        "message_encoding": "utf-8",
        "consumer_config": {"security.protocol": "PLAINTEXT"},
        **source,
    }
    path = folder / "pipeline.yml"
    path.write_text(yaml.safe_dump({"name": name, "source": block, "destination": {"name": "logger"}}))
    built = build_source(load_config(str(path)).config)
    assert isinstance(built.config, KafkaSourceConfig)
    assert str(built.config.settings["group.instance.id"]).startswith(f"{built.config.group}-")
    return built.config.group


def test_each_pipeline_has_a_group_of_its_own(tmp_path: Path) -> None:
    """Two pipelines of one host used to be one member of the group `bizon`, and evicted each other."""
    first, second = group_of(tmp_path, "shop"), group_of(tmp_path, "shop 2")
    assert first.startswith("bizon.shop-kafka-topic.")
    assert first != second
    assert first == group_of(tmp_path, "shop")


@pytest.mark.parametrize("group", ["bizon", "mine"])
def test_a_group_that_is_named_stays(tmp_path: Path, group: str) -> None:
    assert group_of(tmp_path, "shop", group_id=group) == group


@pytest.fixture
def older(kafka_topics: Topics, monkeypatch: pytest.MonkeyPatch) -> str:
    """In place of "bizon", which other tests have on the same broker."""
    name = f"older-{kafka_topics()}"
    monkeypatch.setattr(older_group, "OLDER_GROUP", name)
    return name


def of_default_group(url: str, topic: str) -> KafkaSourceConfig:
    settings = {"group.instance.id": ""}
    return stream(url, topic, group_id=None, consumer_config=settings).of_pipeline(f"bizon.{topic}")


def test_a_pipeline_of_the_older_default_goes_on_where_it_stood(
    kafka_url: str, kafka_topics: Topics, older: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, older, topic, 6)
    block = of_default_group(kafka_url, topic)
    checkpoint = {"topics": {topic: {"0": [2, 6]}}}  # as older releases wrote it
    with told("INFO") as lines, opened(block) as source:
        (page,) = read_stream(source, 4, pagination=checkpoint)
    assert numbers([page]) == [6, 7, 8, 9]
    assert [line for line in lines if f"goes on where group '{older}', the default of older releases, stands" in line]
    assert committed(kafka_url, block.group, topic) == [10]
    set_committed(kafka_url, older, topic, 0)  # of no interest any more
    produce(kafka_url, topic, numbered([10]))
    with told("INFO") as lines, opened(block) as source:
        assert numbers(read_stream(source, 1, pagination=page.next_pagination)) == [10]
    assert lines == []


def test_a_pipeline_of_the_older_default_that_was_killed_goes_on_behind_its_checkpoint(
    kafka_url: str, kafka_topics: Topics, older: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, older, topic, 6)
    with opened(of_default_group(kafka_url, topic)) as source:
        found = numbers(read_stream(source, 2, pagination={"topics": {topic: {"0": [6, 8]}}}))
    assert found == [8, 9]


def test_offsets_that_may_be_of_another_pipeline_are_not_taken(
    kafka_url: str, kafka_topics: Topics, older: str
) -> None:
    """A new pipeline would skip what another has read, an old one without a state would read it again: bizon asks."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, older, topic, 6)
    with opened(of_default_group(kafka_url, topic)) as source, pytest.raises(SourceFetchError) as caught:
        read_stream(source, 10)
    assert f"set source.group_id to {older} to go on from them" in str(caught.value)


def test_a_pipeline_that_names_its_group_does_not_look_at_the_older_one(
    kafka_url: str, kafka_topics: Topics, older: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(3)))
    set_committed(kafka_url, older, topic, 2)
    with opened(stream(kafka_url, topic)) as source:
        assert numbers(read_stream(source, 3)) == [0, 1, 2]


def test_a_checkpoint_of_another_group_is_not_heeded_and_that_is_told(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(3)))
    with opened(stream(kafka_url, topic)) as source:
        (page,) = read_stream(source, 3)
    block = stream(kafka_url, topic)
    with told() as lines, opened(block) as source:
        assert numbers(read_stream(source, 3, pagination=page.next_pagination)) == [0, 1, 2]
    assert [line for line in lines if "the last checkpoint is of group" in line and block.group in line]
