"""Configurations that cannot work, and servers that are unreachable or refuse: one clear line, without a secret."""

import re
from typing import Any

import pytest
from e2e.engines.conftest import MakeEngine
from e2e.engines.kit import Engine
from ports import free_port
from postgres import PASSWORD, PrivateServer
from rabbitmq_server import Broker

SECRET = "s3cr3t-passw0rd"
NOWHERE = {"type": "kafka", "config": {"queue": {"bootstrap_server": "127.0.0.1:1"}}}


def complaint(told: str) -> str:
    """The only line that is not a log line."""
    (line,) = (line for line in told.splitlines() if not re.match(r"\d{4}-\d\d-\d\d ", line))
    assert line.startswith("Error: ")
    return line


def refused(engine: Engine, role: str | None, reason: str, *flags: str) -> None:
    """It ends with exit code 1, says why, and keeps the secret; nothing was fetched."""
    told = engine.run(role, *flags, expect=1)
    assert reason in complaint(told)
    assert SECRET not in told
    assert "Traceback" not in told
    assert engine.asked() == {}


@pytest.mark.parametrize(
    ("role", "changes", "reason"),
    [
        ("producer", {"engine.queue": {"type": "python_queue"}}, "queue type 'python_queue' lives inside a run"),
        ("consumer", {"engine.backend": {"type": "sqlite_in_memory"}}, "type 'sqlite_in_memory' is not shared"),
        ("producer", {"source.sync_mode": "stream"}, "sync_mode stream has no separate roles"),
    ],
    ids=["queue", "state", "mode"],
)
def test_roles_that_could_not_meet_are_refused(
    make_engine: MakeEngine, role: str, changes: dict[str, Any], reason: str
) -> None:
    engine = make_engine("sqlite", "none")
    engine.pipeline.set("engine.queue", NOWHERE)
    for path, value in changes.items():
        engine.pipeline.set(path, value)
    line = complaint(engine.run(role, expect=2))
    assert "--role: " in line
    assert reason in line
    assert engine.asked() == {}


@pytest.mark.parametrize(("role", "flags"), [("producer", ()), ("consumer", ()), (None, ("--runner", "process"))])
def test_a_rabbitmq_that_refuses_the_password_is_named(
    make_engine: MakeEngine, rabbitmq: Broker, role: str | None, flags: tuple[str, ...]
) -> None:
    stranger = rabbitmq._replace(username="stranger", password=SECRET)
    engine = make_engine("sqlite", "rabbitmq", **stranger._asdict())
    refused(engine, role, f"{rabbitmq.host}:{rabbitmq.port}: user 'stranger' was refused", *flags)
    report = engine.report()
    if role == "consumer":  # it says so at once, though there is no job yet
        assert report.state == "none"
    else:
        assert report.state == "failed"
        assert "was refused" in str(report.error)


def test_an_unreachable_rabbitmq_is_named(make_engine: MakeEngine) -> None:
    port = free_port()
    engine = make_engine("sqlite", "rabbitmq", host="127.0.0.1", port=port, password=SECRET)
    refused(engine, "consumer", f"RabbitMQ at 127.0.0.1:{port}: ")


def test_an_unreachable_kafka_is_named(make_engine: MakeEngine) -> None:
    """It ends after the twenty seconds that a broker may take to answer; librdkafka logs secrets like these."""
    url = f"127.0.0.1:{free_port()}"
    own = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "stranger", "sasl_password": SECRET}
    engine = make_engine("sqlite", "kafka", bootstrap_server=url, **own)
    refused(engine, None, f"no Kafka broker has answered at {url}", "--log-level", "DEBUG")


def test_a_postgres_that_refuses_the_password_is_named(
    make_engine: MakeEngine, private_postgres: PrivateServer
) -> None:
    engine = make_engine("sqlite", "none")
    place = private_postgres.place
    engine.pipeline.set("engine.queue", NOWHERE).set("engine.backend", place.config(password=SECRET))
    refused(engine, "consumer", "password authentication failed for user")
    assert PASSWORD not in engine.run("producer", expect=1)
