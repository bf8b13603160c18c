"""Retrying with growing waits that end with the run."""

from itertools import islice
from threading import Event

import pytest

from bizon.common.errors.errors import StoppedError
from bizon.common.waiting import back_off, doubling, ends_with


class Time:
    """A clock that moves only when something sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_waits_double_up_to_the_longest():
    assert list(islice(doubling(0.5, 3), 5)) == [0.5, 1, 2, 3, 3]


def test_no_wait_is_longer_than_the_longest():
    assert next(doubling(5, 1)) == 1


def test_the_attempts_end_after_the_given_number_of_tries():
    time = Time()
    attempts = [(attempt.number, attempt.is_last) for attempt in back_off(1, 15, tries=3, sleep=time.sleep)]
    assert attempts == [(1, False), (2, False), (3, True)]
    assert time.slept == [1, 2]


def test_the_attempts_end_once_one_fails_after_the_patience_has_run_out():
    time = Time()
    attempts = list(back_off(1, 2, patience=4, sleep=time.sleep, clock=time))
    assert time.slept == [1, 2, 2]
    assert [attempt.is_last for attempt in attempts] == [False, False, False, True]


def test_an_answer_about_the_last_attempt_stays_although_time_passes():
    time = Time()
    attempts = back_off(1, 1, patience=4, sleep=time.sleep, clock=time)
    attempt = next(attempts)
    assert not attempt.is_last
    time.now += 10
    assert next(attempts).number == 2


def test_waits_are_spread_at_random_around_their_length():
    waits = [next(back_off(2, 15, spread=0.5)).wait for _ in range(200)]
    assert len(set(waits)) > 100
    assert 1 <= min(waits) < 1.5
    assert 2.5 < max(waits) <= 3


def test_without_a_bound_the_attempts_never_end():
    time = Time()
    assert len(list(islice(back_off(1, 1, sleep=time.sleep), 1000))) == 1000


def test_a_server_may_ask_for_another_wait():
    time = Time()
    for attempt in back_off(1, 15, tries=2, sleep=time.sleep):
        attempt.wait = 7
    assert time.slept == [7]


def test_nothing_sleeps_between_attempts_without_a_wait():
    stopped = Event()
    stopped.set()
    with ends_with(stopped):
        assert len(list(back_off(0, 0, tries=3))) == 3


def test_the_wait_ends_with_the_run():
    stopped = Event()
    stopped.set()
    with ends_with(stopped):
        attempts = back_off(60, 60)
        next(attempts)
        with pytest.raises(StoppedError):
            next(attempts)
