"""Calls that may never return are waited for within a limit."""

from collections.abc import Iterator
from threading import Event

import pytest

from bizon.common.bounded_calls import BoundedCalls


@pytest.fixture
def gate() -> Iterator[Event]:
    """Calls that wait for it do not return before it is set."""
    opened = Event()
    yield opened
    opened.set()


def test_a_call_returns_what_its_function_returns_and_raises_what_it_raises() -> None:
    calls = BoundedCalls[int](30)
    assert calls.call(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0)
    assert not calls.is_stuck


def test_an_exit_within_a_call_reaches_the_caller() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        BoundedCalls[None](30).call(leave)


def test_no_second_call_begins_while_one_has_not_returned(gate: Event) -> None:
    calls, begun = BoundedCalls[bool](0.05), []
    with pytest.raises(TimeoutError, match="the call has not returned within"):
        calls.call(gate.wait)
    assert calls.is_stuck
    with pytest.raises(TimeoutError, match="an earlier call has not returned"):
        calls.call(lambda: bool(begun.append(1)))
    assert not begun


def test_calls_resume_once_the_late_one_has_returned(gate: Event) -> None:
    calls = BoundedCalls[bool](0.05)
    with pytest.raises(TimeoutError):
        calls.call(gate.wait)
    gate.set()
    assert BoundedCalls[bool](30).call(gate.wait)
    while calls.is_stuck:
        pass
    assert calls.call(lambda: True)
