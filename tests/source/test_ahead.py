"""Pages that are asked for before their turn."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextvars import ContextVar

import pytest

from bizon.common.errors.errors import StoppedError
from bizon.common.waiting import rest
from bizon.source.ahead import Ahead


@pytest.fixture
def ahead() -> Iterator[Ahead[int, int]]:
    made: Ahead[int, int] = Ahead(3)
    yield made
    made.close()


def after(token: int) -> int:
    return token + 1


def test_pages_come_in_order_and_no_more_are_asked_for_at_once_than_there_are_workers(ahead):
    running, most, lock, together = set[int](), [0], threading.Lock(), threading.Barrier(3)

    def fetch(token: int) -> int:
        with lock:
            running.add(token)
            most[0] = max(most[0], len(running))
        if 2 <= token <= 4:
            together.wait(timeout=30)  # none of the three is answered before all three were asked for
        with lock:
            running.discard(token)
        return token

    assert [ahead.get(token, fetch, after) for token in range(1, 50)] == list(range(1, 50))
    assert most[0] == 3


def test_pages_that_nobody_takes_are_bounded(ahead):
    asked: list[int] = []
    for token in (1, 2):
        ahead.get(token, asked.append, after)
    wait(ahead._waiting.values())
    assert sorted(asked) == [1, 2, 3, 4, 5, 6, 7]


def test_the_first_page_of_a_list_is_asked_for_alone_on_the_thread_of_the_run(ahead):
    asked: list[tuple[int, str]] = []

    def fetch(token: int) -> None:
        asked.append((token, threading.current_thread().name))

    for of in ("one list", "another list"):
        ahead.get(1, fetch, after, of=of)
    here = threading.current_thread().name
    assert asked == [(1, here), (1, here)]


def test_nothing_is_asked_for_after_the_last_token(ahead):
    asked: list[int] = []
    for token in range(1, 5):
        ahead.get(token, asked.append, lambda token: token + 1 if token < 4 else None)
    assert sorted(asked) == [1, 2, 3, 4]


def test_a_token_that_has_just_become_known_is_asked_for_before_its_page_is_wanted(ahead):
    asked: list[int] = []
    ahead.get(1, asked.append, lambda _: None)
    ahead.ask(2, asked.append)
    wait(ahead._waiting.values())
    assert asked == [1, 2]
    ahead.get(2, asked.append, lambda _: None)
    assert asked == [1, 2]


def test_closing_may_wait_until_requests_have_ended(ahead):
    begun, goes_on = threading.Event(), threading.Event()

    def fetch(_token: int) -> int:
        begun.set()
        return int(goes_on.wait(timeout=30))

    ahead.get(1, lambda _: 1, lambda _: None)
    ahead.ask(2, fetch)
    assert begun.wait(timeout=30)
    threading.Timer(0.05, goes_on.set).start()
    ahead.close(wait=True)
    assert goes_on.is_set()
    assert [each for each in ahead._threads if each.is_alive()] == []


def test_an_error_is_raised_when_its_turn_comes_and_never_for_a_page_nobody_wants(ahead):
    def fetch(token: int) -> int:
        if token in (3, 4):
            raise ValueError(token)
        return token

    assert [ahead.get(token, fetch, after) for token in (1, 2)] == [1, 2]
    with pytest.raises(ValueError, match="3"):
        ahead.get(3, fetch, after)
    assert ahead.get(7, fetch, after) == 7
    assert 4 not in ahead._waiting


def test_closing_ends_waits_and_threads_and_no_thread_keeps_the_process(ahead):
    begun, ended, before = threading.Event(), threading.Event(), threading.enumerate()

    def fetch(token: int) -> int:
        if token > 2:
            begun.set()
            try:
                rest(3600)
            except StoppedError:
                ended.set()
        return token

    assert [ahead.get(token, fetch, after) for token in (1, 2)] == [1, 2]
    assert begun.wait(timeout=30)
    threads = [each for each in threading.enumerate() if each not in before]
    assert [each.daemon for each in threads] == [True] * 3
    ahead.close()
    assert ended.wait(timeout=30)
    for each in threads:
        each.join(timeout=30)
        assert not each.is_alive()


def test_a_request_sees_the_surroundings_of_the_run_such_as_the_stream_that_log_lines_name(ahead):
    stream: ContextVar[str] = ContextVar("stream", default="none")
    stream.set("orders")
    seen = [ahead.get(token, lambda _: stream.get(), after) for token in (1, 2)]
    assert seen == ["orders", "orders"]
