"""The consumer group of a pipeline that names none, and the move from the default group of older releases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from connectors.sources.kafka.kafka_kit import (
    committed,
    logged,
    numbered,
    numbers,
    opened,
    produce,
    read_stream,
    set_committed,
    stream,
)

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src import legacy_group
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.engine.engine import load_config
from bizon.engine.runner.sources import build_source

Topics = Callable[..., str]


def group_of(folder: Path, name: str, **source: Any) -> str:
    """The group of a pipeline with this name, as the runner creates its source."""
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
    """Two pipelines on one host used to be one member of the group `bizon`, and evicted each other."""
    first, second = group_of(tmp_path, "shop"), group_of(tmp_path, "shop 2")
    assert first.startswith("bizon.shop-kafka-topic.")
    assert first != second
    assert first == group_of(tmp_path, "shop")


@pytest.mark.parametrize("group", ["bizon", "mine"])
def test_a_named_group_is_kept(tmp_path: Path, group: str) -> None:
    assert group_of(tmp_path, "shop", group_id=group) == group


@pytest.fixture
def legacy(kafka_topics: Topics, monkeypatch: pytest.MonkeyPatch) -> str:
    """Replaces "bizon", which other tests use on the same broker."""
    name = f"legacy-{kafka_topics()}"
    monkeypatch.setattr(legacy_group, "LEGACY_GROUP", name)
    return name


def of_default_group(url: str, topic: str) -> KafkaSourceConfig:
    settings = {"group.instance.id": ""}
    return stream(url, topic, group_id=None, consumer_config=settings).of_pipeline(f"bizon.{topic}")


def test_a_pipeline_of_the_legacy_group_continues_from_its_offsets(
    kafka_url: str, kafka_topics: Topics, legacy: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, legacy, topic, 6)
    block = of_default_group(kafka_url, topic)
    checkpoint = {"topics": {topic: {"0": [2, 6]}}}  # in the form of older releases
    with logged("INFO") as lines, opened(block) as source:
        (page,) = read_stream(source, 4, pagination=checkpoint)
    assert numbers([page]) == [6, 7, 8, 9]
    assert [
        line
        for line in lines
        if f"continues from the offsets of group '{legacy}', the default of older releases" in line
    ]
    assert committed(kafka_url, block.group, topic) == [10]
    set_committed(kafka_url, legacy, topic, 0)  # ignored from now on
    produce(kafka_url, topic, numbered([10]))
    with logged("INFO") as lines, opened(block) as source:
        assert numbers(read_stream(source, 1, pagination=page.next_pagination)) == [10]
    assert lines == []


def test_a_pipeline_of_the_legacy_group_that_was_killed_resumes_after_its_checkpoint(
    kafka_url: str, kafka_topics: Topics, legacy: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, legacy, topic, 6)
    with opened(of_default_group(kafka_url, topic)) as source:
        found = numbers(read_stream(source, 2, pagination={"topics": {topic: {"0": [6, 8]}}}))
    assert found == [8, 9]


def test_offsets_that_may_belong_to_another_pipeline_are_not_adopted(
    kafka_url: str, kafka_topics: Topics, legacy: str
) -> None:
    """A new pipeline would skip messages that another has read. An old one without a state would read them again. So
    bizon asks."""
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(10)))
    set_committed(kafka_url, legacy, topic, 6)
    with opened(of_default_group(kafka_url, topic)) as source, pytest.raises(SourceFetchError) as caught:
        read_stream(source, 10)
    assert f"set source.group_id to {legacy} to continue from them" in str(caught.value)


def test_a_pipeline_that_names_its_group_ignores_the_legacy_group(
    kafka_url: str, kafka_topics: Topics, legacy: str
) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(3)))
    set_committed(kafka_url, legacy, topic, 2)
    with opened(stream(kafka_url, topic)) as source:
        assert numbers(read_stream(source, 3)) == [0, 1, 2]


def test_a_checkpoint_of_another_group_is_ignored_with_a_warning(kafka_url: str, kafka_topics: Topics) -> None:
    topic = kafka_topics()
    produce(kafka_url, topic, numbered(range(3)))
    with opened(stream(kafka_url, topic)) as source:
        (page,) = read_stream(source, 3)
    block = stream(kafka_url, topic)
    with logged() as lines, opened(block) as source:
        assert numbers(read_stream(source, 3, pagination=page.next_pagination)) == [0, 1, 2]
    assert [line for line in lines if "the last checkpoint is from group" in line and block.group in line]
