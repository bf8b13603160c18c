"""The ``source`` block of the Kafka source."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bizon.common.errors.errors import ConfigError
from bizon.engine.engine import load_config

BLOCK: dict[str, Any] = {
    "name": "kafka",
    "stream": "topic",
    "topics": [{"name": "orders"}],
    "bootstrap_servers": "localhost:9092",
    "message_encoding": "utf-8",
    "consumer_config": {"security.protocol": "PLAINTEXT"},
}
SASL = {"type": "basic", "params": {"username": "u", "password": "p4ssw0rd"}}


def load(tmp_path: Path, block: dict[str, Any], **top: Any) -> Any:
    pipeline = {"name": "pipe", "source": block, "destination": {"name": "logger"}, **top}
    (tmp_path / "pipe.yml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    return load_config("pipe.yml").config.source


def test_the_defaults_match_the_contract(tmp_path: Path) -> None:
    block = {key: value for key, value in BLOCK.items() if key not in ("message_encoding", "consumer_config")}
    registry = {"schema_registry_url": "https://registry.example.com/"}
    source = load(tmp_path, {**block, "authentication": {**SASL, **registry}})
    assert (source.group_id, source.batch_size, source.consumer_timeout) == (None, 100, 10)
    assert source.on_data_loss == "fail"
    assert source.skip_message_empty_value
    assert not source.skip_message_invalid_keys
    assert not source.skip_message_on_decode_error
    assert source.message_encoding == "avro"
    assert source.authentication.schema_registry_type == "apicurio"
    assert source.authentication.schema_registry_url == "https://registry.example.com"
    assert source.settings == {
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 45000,
        "security.protocol": "SASL_SSL",
        "max.poll.interval.ms": 600000,
        "group.instance.id": f"bizon-{socket.gethostname()}",
    }


def test_settings_override_the_defaults(tmp_path: Path) -> None:
    settings = {"security.protocol": "SSL", "session.timeout.ms": 6000, "group.instance.id": "me", "fetch.min.bytes": 2}
    source = load(tmp_path, {**BLOCK, "consumer_config": settings})
    assert source.settings["max.poll.interval.ms"] == 600000
    assert {key: source.settings[key] for key in settings} == settings


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"topics": []}, "source.topics: needs at least one topic"),
        ({"topics": [{"name": "a"}, {"name": "a"}]}, "source.topics: topic 'a' is listed twice"),
        ({"topics": [{"name": "^a.*"}]}, "source.topics[0].name: is not a topic name"),
        ({"topics": [{"name": "a", "destination": "x"}]}, "source.topics[0].destination: unknown key"),
        ({"topic": "a"}, "source.topic: unknown key"),
        ({"bootstrap_servers": ""}, "source.bootstrap_servers: must not be empty"),
        ({"batch_size": 0}, "source.batch_size: must be at least 1"),
        ({"consumer_timeout": 0}, "source.consumer_timeout: must be above 0"),
        ({"message_encoding": "json"}, "source.message_encoding: unknown value 'json'; allowed: avro, utf-8, bytes"),
        (
            {"message_encoding": "avro"},
            "source.message_encoding: this encoding needs authentication.schema_registry_url",
        ),
        (
            {"consumer_config": {}},
            "source.consumer_config: security.protocol is SASL_SSL by default, which needs authentication.params",
        ),
        ({"authentication": SASL}, "source.consumer_config: authentication.params are for SASL"),
        ({"consumer_config": {"group.id": "x"}}, "source.consumer_config: 'group.id' cannot be set here"),
        ({"consumer_config": {"enable.auto.commit": True}}, "'enable.auto.commit' must stay false"),
        ({"consumer_config": {"enable.auto.commit": "true"}}, "'enable.auto.commit' must stay false"),
        (
            {"authentication": {"type": "api_key"}},
            "source.authentication.type: unknown value 'api_key'; allowed: basic",
        ),
        ({"authentication": {"schema_registry_url": "registry"}}, "must start with http:// or https://"),
        ({"sync_mode": "incremental"}, "does not support sync_mode incremental"),
        ({"stream": "topics"}, "source 'kafka' has no stream 'topics'; did you mean 'topic'?"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {**BLOCK, **changes})
    assert text in str(caught.value)
    assert str(caught.value).startswith("pipe.yml:")


def test_passwords_are_masked_everywhere(tmp_path: Path) -> None:
    settings = {"security.protocol": "SASL_SSL", "ssl.key.password": "k3y-passw0rd"}
    registry = {"schema_registry_username": "r", "schema_registry_password": "r3gistry"}
    source = load(tmp_path, {**BLOCK, "consumer_config": settings, "authentication": {**SASL, **registry}})
    for secret in ("k3y-passw0rd", "r3gistry", "p4ssw0rd"):
        assert secret not in repr(source)
    assert source.settings["ssl.key.password"] == "k3y-passw0rd"


@pytest.mark.parametrize("mechanism", [{}, {"sasl.mechanism": "SCRAM-SHA-512"}])
def test_the_user_of_the_brokers_reaches_librdkafka(tmp_path: Path, mechanism: dict[str, str]) -> None:
    """The test brokers have no users, so this checks the settings for librdkafka."""
    from bizon.connectors.sources.kafka.src.client import settings_of

    settings = settings_of(load(tmp_path, {**BLOCK, "consumer_config": mechanism, "authentication": SASL}))
    assert settings["sasl.mechanism"] == mechanism.get("sasl.mechanism", "PLAIN")
    assert (settings["sasl.username"], settings["sasl.password"]) == ("u", "p4ssw0rd")
    assert type(settings["sasl.password"]) is str
    assert (settings["security.protocol"], settings["group.id"]) == ("SASL_SSL", "bizon")
    assert settings["enable.auto.commit"] is False


def stream(table: str, **source: str) -> dict[str, Any]:
    return {"name": table, "source": source, "destination": {"table_id": f"p.d.{table}"}}


def test_topics_come_from_the_streams(tmp_path: Path) -> None:
    block = {key: value for key, value in BLOCK.items() if key != "topics"}
    streams = [stream("a", topic="ta"), stream("b", topic="tb")]
    source = load(tmp_path, {**block, "sync_mode": "stream"}, streams=streams)
    assert [(topic.name, topic.destination_id) for topic in source.topics] == [("ta", "p.d.a"), ("tb", "p.d.b")]
    own = load(tmp_path, {**BLOCK, "sync_mode": "stream"}, streams=streams)
    assert [(topic.name, topic.destination_id) for topic in own.topics] == [("orders", None)]
    with pytest.raises(ConfigError, match=r"streams\[1\].source: the kafka source needs `topic`"):
        load(tmp_path, {**block, "sync_mode": "stream"}, streams=[stream("a", topic="ta"), stream("b", name="x")])


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_validating_loads_nothing_of_kafka(tmp_path: Path) -> None:
    load(tmp_path, BLOCK)
    heavy = python(
        "import sys; from bizon.engine.engine import load_config; load_config('pipe.yml');"
        "print({'confluent_kafka', 'fastavro', 'polars'} & set(sys.modules))"
    )
    assert heavy == "set()\n"


def test_a_missing_package_is_named_when_it_is_needed(tmp_path: Path) -> None:
    load(tmp_path, BLOCK)
    output = python(
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from bizon.engine.engine import load_config\n"
        "from bizon.source.discover import resolve_source_class\n"
        "config = load_config('pipe.yml').config.source\n"
        "try: resolve_source_class(config)(config).check_connection()\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    assert output.startswith("MissingDependencyError source 'kafka'")
    assert "pip install 'bizon[kafka]'" in output
