"""An error that repeats is logged once, and then counted."""

import pytest
from connectors.sources.kafka.kafka_kit import logged, opened, stream
from ports import free_port

from bizon.connectors.sources.kafka.src import client
from bizon.connectors.sources.kafka.src.repeated_errors import RepeatedErrors


def test_one_warning_then_counts_at_growing_intervals() -> None:
    now = 0.0
    errors = RepeatedErrors(lambda: now)
    with logged("INFO") as lines:
        for second in range(200):
            now = float(second)
            for attempt in range(10):
                errors.add("unreachable", f"connection refused after {attempt} ms")
        errors.recovered()
        errors.recovered()
    assert [line.partition(" (")[2] for line in lines[:-1]] == [
        "",
        "101 times in 10 s)",
        "301 times in 30 s)",
        "701 times in 70 s)",
        "1,501 times in 150 s)",
    ]
    assert lines[-1] == "kafka: the brokers answer again, after 2,000 errors in 199 s"


def test_an_error_of_another_kind_is_logged_at_once() -> None:
    errors = RepeatedErrors(lambda: 0.0)
    with logged() as lines:
        for kind in ("unreachable", "_AUTHENTICATION", "unreachable"):
            errors.add(kind, kind)
    assert lines == ["kafka: unreachable", "kafka: _AUTHENTICATION"]


def test_an_unreachable_broker_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to cause 82 warnings in 11 seconds, each in other words."""
    monkeypatch.setattr(client, "REQUEST_TIMEOUT", 2.0)
    with logged() as lines, opened(stream(f"127.0.0.1:{free_port()}", "t")) as source:
        ok, _ = source.check_connection()
    assert not ok
    assert len(lines) == 1
