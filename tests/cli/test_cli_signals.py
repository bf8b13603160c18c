"""The first signal asks for a graceful stop, the second ends at once."""

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from bizon.cli.signals import graceful_stop

if TYPE_CHECKING:
    from conftest import Bizon, Factory, FakeRunner

BOUND = 20  # seconds; reached only when something is broken


@pytest.mark.lesson("F-15")
@pytest.mark.parametrize("each", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_stops_gracefully_and_a_second_quits(each: signal.Signals) -> None:
    """SIGINT used to go on to the end and publish; SIGTERM used to be instant death."""
    stopped, quit_now = threading.Event(), threading.Event()
    with graceful_stop(stopped.set, quit_now.set):
        os.kill(os.getpid(), each)
        assert stopped.wait(BOUND)
        assert not quit_now.is_set()
        os.kill(os.getpid(), each)
        assert quit_now.wait(BOUND)


def test_stop_may_take_a_lock_that_the_main_thread_holds() -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            stopped.set()

    with graceful_stop(stop, lambda: None):
        with lock:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(BOUND)


@pytest.mark.lesson("F-47")
def test_the_old_handlers_come_back() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with graceful_stop(lambda: None, lambda: None):
        assert all(signal.getsignal(each) is not handler for each, handler in before.items())
    assert {each: signal.getsignal(each) for each in before} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with graceful_stop(lambda: None, lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.lesson("F-15")
def test_the_run_command_hands_the_signal_to_the_runner(bizon: "Bizon", factory: "Factory") -> None:
    def work(runner: "FakeRunner") -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert runner.stopped.wait(BOUND)

    factory.work = work
    assert bizon("run", "pipe.yml").exit_code == 0
