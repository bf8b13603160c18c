"""A plugin for the workers of ``pytest -n``: their number, what they share, and where each of them begins.

**Compiled once.** pytest compiles each file of tests in its own way, and keeps the result. In a fresh checkout every
worker would compile all files, and the packages that they import, at the same time. Two processes do it before the
workers start.

**Long files first.** Each worker begins with a part of the tests. A worker that is done takes over half of the tests
that another one still has. Long tests at the end would leave the others idle, so each part begins with the files that
cost much. Tests that use BigQuery's emulator stay together, because each worker starts an emulator of its own.
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from matrices import COSTLY, DEAREST, PIPELINES

ROOT = Path(__file__).parents[1]
AT_ONCE = 2
FEW = 40  # files that each worker may compile for itself
SHORT = 2.0  # seconds of a processor; a file that costs less is not moved
OTHER = 0.04
SECONDS = {DEAREST: 1.2, PIPELINES: 0.6, **dict.fromkeys(COSTLY - {DEAREST}, 0.15)}
"""Seconds of a processor that a case takes, by the kinds of ``tests/matrices.py``."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice the number of processors: half of the time of a test is spent on waits for servers and children."""
    return (os.cpu_count() or 1) * 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Called once, before the workers start."""
    files = uncompiled(ROOT / "tests")
    if len(files) > FEW and not sys.dont_write_bytecode:
        compile_tests(files, ROOT)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The same in all workers, which have to agree on the list."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = in_parts(items, workers)


def uncompiled(folder: Path) -> list[Path]:
    """Files of tests that this pytest has not compiled yet."""
    return [file for file in sorted(folder.rglob("test_*.py")) if not compiled(file).exists()]


def compiled(file: Path) -> Path:
    """Where pytest keeps the compiled file."""
    return Path(cache_from_source(str(file)).removesuffix(".pyc") + f"-pytest-{pytest.__version__}.pyc")


def compile_tests(files: Sequence[Path], root: Path) -> None:
    """Let pytest collect the files. A file that fails here fails again in the workers, which report it."""
    size = -(-len(files) // AT_ONCE)
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
    how = {**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL), "cwd": root}
    parts = [files[start : start + size] for start in range(0, len(files), size)]
    children = [subprocess.Popen([*collect, *map(str, part)], **how) for part in parts]  # type: ignore[call-overload]
    for child in children:
        child.wait()


def in_parts(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests for a list that is cut into parts of the same length, one for each worker."""
    blocks: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        blocks[DEAREST if DEAREST in item.fixturenames else item.nodeid.partition("::")[0]].append(item)
    costs = {name: sum(map(seconds, block)) for name, block in blocks.items()}
    loads, first = [0.0] * workers, [list[pytest.Item]() for _ in range(workers)]
    for name in sorted(costs, key=lambda name: -costs[name]):
        if costs[name] >= SHORT and set(map(seconds, blocks[name])) != {OTHER}:
            worker = loads.index(min(loads))
            loads[worker] += costs[name]
            first[worker] += blocks.pop(name)
    others = [item for block in blocks.values() for item in block]
    found: list[pytest.Item] = []
    for worker, own in enumerate(first):
        size = (len(items) - len(found)) // (workers - worker)
        more = max(0, size - len(own))
        found += [*own, *others[:more]]
        del others[:more]
    return found


def seconds(item: pytest.Item) -> float:
    """The expected cost of a case."""
    kinds = [*COSTLY.intersection(item.fixturenames), *([PIPELINES] if item.nodeid.startswith(PIPELINES) else [])]
    return max((SECONDS[kind] for kind in kinds), default=OTHER)
