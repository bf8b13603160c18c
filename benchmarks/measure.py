"""Runs commands and measures their wall time, processor time and peak memory, one after the other: A B A B.

This module imports only the standard library, on purpose. Linux counts the memory of the parent process towards the
peak of its child, so the harness has to be smaller than everything that it measures.
"""

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Metric = Literal["wall", "cpu", "peak_mb"]
TIMEOUT = 1800.0  # seconds; a command that takes longer hangs
_FOREIGN = ("BIZON_", "LOGURU_", "PYTHON", "VIRTUAL_ENV")
_ADDRESSES = "BIZON_TEST_"
_LONGEST_REASON = 300  # characters of a failed command's output that are kept


class CommandFailed(RuntimeError):
    """A command failed, so there is nothing to measure."""


@dataclass(frozen=True)
class Command:
    """A command with its arguments, the files in its folder, and a check of the folder afterwards."""

    arguments: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Usage:
    """The cost of one run. ``cpu``: user and system time of the process and its children; MB are 10^6 bytes."""

    wall: float
    cpu: float
    peak_mb: float
    printed: str = ""


@dataclass(frozen=True)
class Samples:
    """The runs of one side. ``start``: runs of the same command with almost no work; their median is subtracted."""

    usages: list[Usage]
    start: "Samples | None" = None

    def median(self, metric: Metric) -> float:
        """The median of the runs, minus the median of the start-up."""
        return statistics.median(self.values(metric))

    def values(self, metric: Metric) -> list[float]:
        """One figure per run, minus the median of the start-up."""
        start = self.start.median(metric) if self.start else 0.0
        return [float(getattr(usage, metric)) - start for usage in self.usages]

    def pairwise(self, other: "Samples", metric: Metric) -> list[float]:
        """The ratio of this side to the other, round by round, to show how much it varies."""
        both = zip(self.values(metric), other.values(metric), strict=True)
        return [mine / yours for mine, yours in both if yours > 0]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: this process's, without settings that would change the measurement. The addresses of
    servers stay: scripts make the tables that bizon reads."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_ADDRESSES) or not name.startswith(_FOREIGN)
    }
    return {**kept, "NO_PROXY": "localhost,127.0.0.1", **extra}


def run(command: Command, folder: Path, timeout: float = TIMEOUT) -> Usage:
    """Run a command in a folder and wait for it.

    Raises:
        CommandFailed: its exit code was not 0, it took longer than ``timeout``, or its check failed.
    """
    for name, text in command.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            command.arguments,
            cwd=folder,
            env=environment(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        alarm = threading.Timer(timeout, os.killpg, (child.pid, signal.SIGKILL))
        alarm.start()
        try:
            _, status, spent = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            alarm.cancel()
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    printed = _text(folder / "stdout")
    if child.returncode == -signal.SIGKILL and wall >= timeout:
        raise CommandFailed(f"killed after {timeout:.0f} seconds")
    if child.returncode != 0:
        lines = (printed + _text(folder / "stderr")).strip().splitlines() or ["no output"]
        raise CommandFailed(f"exit code {child.returncode}: {lines[-1][:_LONGEST_REASON]}")
    if command.check is not None:
        command.check(folder)
    return Usage(wall, spent.ru_utime + spent.ru_stime, spent.ru_maxrss * 1024 / 1e6, printed)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


@contextmanager
def fresh_folder(parent: Path) -> Iterator[Path]:
    """A new folder for one run, removed afterwards, so that no run pays for unwritten data of another."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def interleaved(
    sides: Mapping[str, Command],
    runs: int,
    parent: Path,
    failures: dict[str, str],
    warm_up: bool = True,
    timeout: float = TIMEOUT,
) -> dict[str, list[Usage]]:
    """Run all sides, one after the other, for ``runs`` rounds, each run in its own folder. With ``warm_up`` there is
    one more round, which does not count.

    A side that fails once does not run again: it is absent from the result, and ``failures`` says why.
    """
    found: dict[str, list[Usage]] = {name: [] for name in sides}
    for number in range(-1 if warm_up else 0, runs):
        for name, command in sides.items():
            if name not in found:
                continue
            os.sync()
            try:
                with fresh_folder(parent) as folder:
                    usage = run(command, folder, timeout)
            except CommandFailed as failure:
                failures[name] = str(failure)
                del found[name]
                continue
            if number >= 0:
                found[name].append(usage)
    return found
