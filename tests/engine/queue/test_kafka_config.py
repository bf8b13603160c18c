"""The configuration of a ``kafka`` queue: allowed and refused settings."""

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from bizon.common.errors.errors import MissingDependencyError
from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.config import EngineConfig
from bizon.engine.queue.adapters.kafka.config import KafkaConfig
from bizon.engine.queue.queue import QueueFactory


def config(consumer: dict[str, Any] | None = None, **queue: Any) -> KafkaConfig:
    block = {"queue": {"bootstrap_server": "localhost:9092", **queue}, "consumer": consumer or {}}
    return KafkaConfig.model_validate({"type": "kafka", "config": block})


def test_the_engine_block_takes_it_with_little() -> None:
    block = {"queue": {"type": "kafka", "config": {"queue": {"bootstrap_server": "a:1,b:2"}}}}
    queue = EngineConfig.model_validate(block).queue
    assert queue.is_broker
    assert isinstance(queue, KafkaConfig)
    assert queue.config.consumer.poll_interval == 1
    assert queue.config.queue.topic is None


def test_offsets_that_are_committed_by_the_clock_are_refused() -> None:
    assert config({"enable_auto_commit": False}).config.consumer.enable_auto_commit is False
    with pytest.raises(ValidationError, match="must be false: an offset that is committed before the destination"):
        config({"enable_auto_commit": True})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("acks", "guarantees"),
        ("enable.idempotence", "guarantees"),
        ("enable.auto.commit", "guarantees"),
        ("max.in.flight", "guarantees"),
        ("partition.assignment.strategy", "guarantees"),
        ("bootstrap.servers", r"queue\.bootstrap_server"),
        ("group.id", r"consumer\.group_id"),
        ("message.max.bytes", r"queue\.max_message_size"),
        ("queued.max.messages.kbytes", "memory"),
        ("queue.buffering.max.messages", "memory"),
        ("error_cb", "code"),
        ("logger", "code"),
        ("ssl.key.password", "librdkafka_secrets"),
        ("sasl.password", r"queue\.sasl_password"),
    ],
)
def test_a_setting_on_which_something_rests_is_refused(name: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        config(librdkafka={name: "x"})


def test_other_settings_of_the_client_are_taken() -> None:
    taken = config(librdkafka={"linger.ms": 50, "ssl.key.location": "key.pem", "client.rack": "a"}).config.queue
    assert taken.librdkafka["linger.ms"] == 50


@pytest.mark.parametrize("given", [{"sasl_username": "me"}, {"sasl_password": "x"}, {"sasl_mechanism": "PLAIN"}])
def test_sasl_without_a_protocol_for_it_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="has no effect unless security_protocol"):
        config(**given)
    config(security_protocol="SASL_SSL", **given)


@pytest.mark.lesson("F-27")
def test_secrets_are_not_shown() -> None:
    secrets = {"sasl_password": "pass-word-1", "librdkafka_secrets": {"ssl.key.password": "pass-word-2"}}
    shown = config(security_protocol="SASL_SSL", **secrets)
    for text in (repr(shown), str(shown), shown.model_dump_json()):
        assert "pass-word" not in text


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("bizon.engine.queue.adapters.kafka.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(
        MissingDependencyError, match=r"engine.queue.type 'kafka' needs .* pip install 'bizon\[kafka\]'"
    ):
        QueueFactory.get_queue(config(), role=Role.PRODUCER, stream=StreamKey("a", "b", "c"), budget=1)
