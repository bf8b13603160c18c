"""The first signal asks for a graceful stop, the second ends at once."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import server_or_skip

from bizon.cli import signals
from bizon.cli.signals import graceful_stop

if TYPE_CHECKING:
    from conftest import Bizon, Factory, FakeRunner

WaitFor = Callable[[Callable[[], bool]], None]
BOUND = 20  # seconds; reached only when something is broken


@pytest.mark.lesson("F-15")
@pytest.mark.parametrize("each", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_stops_gracefully_and_a_second_quits(each: signal.Signals) -> None:
    """After SIGINT the run used to continue to the end and publish; SIGTERM used to kill it."""
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
def test_the_old_handlers_are_restored() -> None:
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


SLOW_TO_LOAD = """
import time
from pathlib import Path
Path("loading").touch()
time.sleep(300)
"""


@pytest.mark.parametrize("each", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("is_first", [False, True], ids=["plain", "as PID 1"])
def test_a_signal_before_the_run_ends_it_and_says_so(
    config: Path, each: signal.Signals, is_first: bool, wait_for: WaitFor
) -> None:
    """SIGTERM used to leave a result file that said running, and as PID 1 to have no effect at all."""
    wrapper = as_first_process() if is_first else []
    folder = config.parent
    (folder / "slow.py").write_text(SLOW_TO_LOAD)
    flags = ["run", config.name, "--custom-source", "slow.py", "--result-json", "result.json"]
    command = [*wrapper, sys.executable, "-m", "bizon", *flags]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((folder / "loading").exists)
        os.kill(child_of(process.pid) if wrapper else process.pid, each)
        assert process.wait(BOUND) == 130
    finally:
        process.kill()
        _, stderr = process.communicate()
    assert stderr == "Interrupted.\n"
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"


def test_a_signal_that_is_ignored_from_outside_stays_ignored() -> None:
    """A script that starts a command in the background makes it ignore SIGINT."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        signals.leave_when_asked()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_stop_is_requested_although_its_message_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    stopped, quit_now = threading.Event(), threading.Event()
    with graceful_stop(stopped.set, quit_now.set):
        monkeypatch.setattr(signals.os, "write", full)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(BOUND)
        os.kill(os.getpid(), signal.SIGTERM)
        assert quit_now.wait(BOUND)


def as_first_process() -> list[str]:
    """The beginning of a command that is process 1 of a namespace of its own. Without root, in a user namespace."""
    refusals = []
    for way in ([], ["--user", "--map-root-user"]):
        wrapper = ["unshare", *way, "--pid", "--fork", "--kill-child"]
        try:
            tried = subprocess.run([*wrapper, "true"], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            server_or_skip("unshare", str(error))
        if tried.returncode == 0:
            return wrapper
        refusals.append(tried.stderr.strip())
    server_or_skip("a PID namespace", "; ".join(refusals))


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
