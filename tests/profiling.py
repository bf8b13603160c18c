"""A plugin that measures what each test costs: ``BIZON_TEST_PROFILE=FILE make test``.

``python tests/profiling.py FILE`` shows the files that cost most, ``python tests/profiling.py FILE tests/docs`` the
tests below a folder or in a file.

A cost is seconds of a processor, of the worker and of all processes below it: a busy machine changes wall time more. A
fixture of a session counts with the first test that asks for it. Not counted: servers that ran before the tests, and
the last moments of a process that has left its parent.
"""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

VARIABLE = "BIZON_TEST_PROFILE"
COLLECTION = "(collection)"
SHOWN = 60
_TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # of /proc/PID/stat after the name: user and system time, then the same of its reaped children


class Cost(NamedTuple):
    """Seconds of a processor: of the worker, and of processes below it; and the seconds that passed."""

    own: float = 0.0
    below: float = 0.0
    wall: float = 0.0

    @classmethod
    def now(cls) -> "Cost":
        return cls(time.process_time(), below(), time.perf_counter())

    def since(self, earlier: "Cost") -> "Cost":
        return Cost(*(now - then for now, then in zip(self, earlier, strict=True)))

    def plus(self, other: "Cost") -> "Cost":
        return Cost(*(one + another for one, another in zip(self, other, strict=True)))

    @property
    def cpu(self) -> float:
        return self.own + self.below


def below() -> float:
    """The seconds that all processes below this one have used, those that have ended included."""
    reaped = os.times()
    used = reaped.children_user + reaped.children_system + sum(map(_used, _children(os.getpid())))
    return round(used, 2)  # the kernel counts in hundredths; sums of such floats differ in the last digit


def _used(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[_TIMES])) / _TICKS + sum(map(_used, _children(pid)))
    return 0.0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def pytest_configure(config: pytest.Config) -> None:
    if path := os.environ.get(VARIABLE):
        config.pluginmanager.register(_Profile(Path(path)))


class _Profile:
    """Adds a line to the file for each test. Workers share the file."""

    def __init__(self, file: Path) -> None:
        self._file = file.absolute()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        finally:
            self._note(COLLECTION, Cost.now()._replace(wall=0.0))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = Cost.now()
        try:
            return (yield)
        finally:
            self._note(item.nodeid, Cost.now().since(before))

    def _note(self, test: str, cost: Cost) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([test, *(round(each, 4) for each in cost)]) + "\n")


def read(file: Path) -> list[tuple[str, Cost]]:
    """The tests of a profile."""
    return [(test, Cost(*cost)) for test, *cost in map(json.loads, file.read_text(encoding="utf-8").splitlines())]


def summary(profile: Iterable[tuple[str, Cost]], below: str = "") -> list[str]:
    """A line for each file, that which costs most first; for each test when ``below`` names a place."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for test, cost in profile:
        if test.startswith(below):
            costs[test.partition("[")[0] if below else test.partition("::")[0]].append(cost)
    totals = {name: _sum(each) for name, each in costs.items()}
    names = sorted(totals, key=lambda name: -totals[name].cpu)
    lines = [_line(name, len(costs[name]), totals[name]) for name in names[:SHOWN]]
    return [*lines, _line("all", sum(map(len, costs.values())), _sum(totals.values()))]


def _sum(costs: Iterable[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total = total.plus(cost)
    return total


def _line(name: str, cases: int, cost: Cost) -> str:
    numbers = f"cpu {cost.cpu:7.1f} s (below {cost.below:6.1f}), wall {cost.wall:7.1f} s"
    return f"{cases:5} cases  {numbers}  {name}"


if __name__ == "__main__":
    print("\n".join(summary(read(Path(sys.argv[1])), *sys.argv[2:3])))
