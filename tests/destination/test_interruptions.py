"""Calls to a target: which of them are counted, and interrupted."""

from typing import Any

import pytest

from bizon.testing.interruptions import Calls, DiedError, spread, watching

DRIVER = """
class Connection:
    closed = 0

    def query(self):
        return self._send()

    def _send(self):
        return "sent"

    def _force_close(self):
        type(self).closed += 1

    __del__ = _force_close  # as in PyMySQL
"""


@pytest.fixture
def connection_class() -> Any:
    """The class of a driver, in a module of its own."""
    module: dict[str, Any] = {"__name__": "some_driver.connections"}
    exec(DRIVER, module)
    return module["Connection"]


@pytest.mark.parametrize(
    ("seen", "most", "expected"),
    [(0, 6, []), (3, 0, [1, 2, 3]), (3, 6, [1, 2, 3]), (7, 6, [1, 3, 5, 7]), (60, 6, [1, 11, 21, 31, 41, 51])],
)
def test_interrupted_calls_are_spread_over_a_job(seen: int, most: int, expected: list[int]) -> None:
    assert list(spread(seen, most)) == expected


def test_a_call_from_outside_the_driver_is_counted_once(connection_class: Any) -> None:
    connection = connection_class()
    with watching(Calls(("some_driver",))) as calls:
        connection.query()
        connection.query()
    assert calls.seen == 2


def test_the_call_at_a_place_dies_after_its_effect(connection_class: Any) -> None:
    connection, calls = connection_class(), Calls(("some_driver",), at=2)
    with watching(calls), pytest.raises(DiedError):
        list(map(connection_class.query, [connection, connection]))
    assert (calls.seen, calls.name) == (2, "Connection.query")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_is_released_is_not_interrupted(connection_class: Any) -> None:
    """The error left a finalizer, reached nobody, and pytest reported it as a warning of another test."""
    for after in (False, True):
        with watching(Calls(("some_driver",), at=1, after=after)) as calls:
            connection_class()
        assert calls.seen == 0
    assert connection_class.closed == 2
