"""Trouble that repeats itself is told once, and then counted."""

import pytest
from connectors.sources.kafka.kafka_kit import opened, stream, told
from ports import free_port

from bizon.connectors.sources.kafka.src import client
from bizon.connectors.sources.kafka.src.troubles import Troubles


def test_one_warning_then_counts_at_growing_intervals() -> None:
    now = 0.0
    troubles = Troubles(lambda: now)
    with told("INFO") as lines:
        for second in range(200):
            now = float(second)
            for attempt in range(10):
                troubles.note("unreachable", f"connection refused after {attempt} ms")
        troubles.over()
        troubles.over()
    assert [line.partition(" (")[2] for line in lines[:-1]] == [
        "",
        "101 times in 10 s)",
        "301 times in 30 s)",
        "701 times in 70 s)",
        "1,501 times in 150 s)",
    ]
    assert lines[-1] == "kafka: the brokers answer again, after 2,000 errors in 199 s"


def test_trouble_of_another_kind_is_told_at_once() -> None:
    troubles = Troubles(lambda: 0.0)
    with told() as lines:
        for kind in ("unreachable", "_AUTHENTICATION", "unreachable"):
            troubles.note(kind, kind)
    assert lines == ["kafka: unreachable", "kafka: _AUTHENTICATION"]


def test_a_broker_that_is_away_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """82 warnings in 11 seconds, each in other words, used to come."""
    monkeypatch.setattr(client, "REQUEST_TIMEOUT", 2.0)
    with told() as lines, opened(stream(f"127.0.0.1:{free_port()}", "t")) as source:
        ok, _ = source.check_connection()
    assert not ok
    assert len(lines) == 1
