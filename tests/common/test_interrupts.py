"""Exceptions for the whole process, and failures of a connector."""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from polars.exceptions import PanicException

from bizon.common.interrupts import in_words, is_failure, is_for_the_process


class TimeLimit(Exception):
    """An exception that a host raises in the middle of a task."""


def stop_the_task(_signal: int, _frame: FrameType | None) -> None:
    raise TimeLimit


@pytest.fixture
def host() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, stop_the_task)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_an_exception_of_a_signal_handler_of_the_host_is_for_the_process(host: None) -> None:
    with pytest.raises(TimeLimit) as raised:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert is_for_the_process(raised.value)


def test_the_same_exception_from_elsewhere_is_not_for_the_process(host: None) -> None:
    with pytest.raises(TimeLimit) as raised:
        raise TimeLimit
    assert not is_for_the_process(raised.value)


def test_sys_exit_in_a_connector_is_not_for_the_process() -> None:
    with pytest.raises(SystemExit) as raised:
        raise SystemExit(0)
    assert not is_for_the_process(raised.value)


@pytest.mark.parametrize("handled_by_the_host", [True, False])
def test_ctrl_c_is_for_the_process_where_nobody_handles_it(handled_by_the_host: bool) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if handled_by_the_host else signal.default_int_handler)
    try:
        assert is_for_the_process(KeyboardInterrupt()) is not handled_by_the_host
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_words_for_sys_exit_say_what_to_do_instead() -> None:
    assert in_words(ValueError("x")) == "ValueError: x"
    assert "sys.exit(0) was called inside the pipeline; raise an exception instead" in in_words(SystemExit(0))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("GET /users: ConnectionError: refused"), "GET /users: ConnectionError: refused"),
        (TimeoutError("GET /users: TimeoutError"), "GET /users: TimeoutError"),
        (TimeoutError("a NewTimeoutError: late"), "TimeoutError: a NewTimeoutError: late"),
        (KeyError("KeyError"), "KeyError: 'KeyError'"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_words_name_the_type_once(error: Exception, words: str) -> None:
    assert in_words(error) == words


class Unknown(BaseException):
    """Its meaning is unknown."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError(), True), (SystemExit(0), True), (PanicException("index"), True), (Unknown(), False)],
)
def test_exceptions_of_a_connector_are_failures(error: BaseException, expected: bool) -> None:
    assert is_failure(error) is expected


def test_a_time_limit_of_the_host_is_not_a_failure_of_a_connector(host: None) -> None:
    with pytest.raises(TimeLimit) as raised:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert not is_failure(raised.value)
