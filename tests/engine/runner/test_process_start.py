"""Stopping a run of the process runner whose roles are still being started."""

import signal
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess

from bizon.engine.backend.models import Role
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.adapters.children import Child
from bizon.engine.runner.adapters.pipes import Plug
from bizon.engine.runner.adapters.process import _signals_held_back
from bizon.engine.runner.adapters.wiring import PipeGate

SHOW = "import signal; print(sorted(int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])))"


def blocked_in_a_child() -> str:
    return subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout.strip()


def test_a_child_gets_its_signals_only_once_it_ignores_them() -> None:
    """A service manager signals all processes: a role that was still importing used to die of it, and fail the run."""
    with _signals_held_back():
        assert blocked_in_a_child() == str([int(signal.SIGINT), int(signal.SIGTERM)])
    assert blocked_in_a_child() == "[]"


def child() -> tuple[Child, SpawnProcess]:
    context = get_context("spawn")
    process = context.Process(target=signal.pause, daemon=True)
    process.start()
    return Child(Plug(Role.PRODUCER, context.Pipe(duplex=False)[0]), process), process


def test_a_role_that_is_still_starting_is_killed_at_once() -> None:
    """Its imports took up to a quarter of a minute on a busy machine, after the stop."""
    starting, process = child()
    starting.stop_starting()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert starting.result == WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)


def test_a_producer_that_ended_before_the_gate_opened_does_not_count_as_a_destination_error() -> None:
    """A run that was stopped while its roles started failed with "destination_error: Broken pipe", exit code 1."""
    of_the_producer, of_the_consumer = get_context("spawn").Pipe(duplex=False)
    of_the_producer.close()
    PipeGate(of_the_consumer).set()
