"""A plugin that chooses the cases that ``make test`` runs; ``make test-long`` and BIZON_TEST_LONG=1 run all.

A test with ``@pytest.mark.matrix(share=4)`` runs a quarter of its cases, and at least one; of tests with the same
``pool``, in any files, a quarter of the cases of all of them together runs. The cases are chosen to show many tests,
classes and values of parameters. Each class, and each file, runs at least one. With ``share=0`` none runs: it needs a
program that the machines of ``make test`` need not have, or it takes minutes.

Unmarked tests that use a server (``COSTLY``) or run whole pipelines (``PIPELINES``) run the cases that show each test
and each value of each parameter of their module. Those in a ``DEAREST`` form a pool, of which a sixth runs.

BIZON_TEST_SEED picks the cases. By default it is taken from the tree of the commit, so each change of the code runs
other cases, and a run of the same code the same ones.
"""

import os
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

SHARE = 3
COSTLY = {"kafka_url", "mariadb", "postgres", "private_postgres", "rabbitmq", "warehouse"}  # fixtures
DEAREST = "warehouse"
"""A test in it sends a hundred requests to an emulator, and takes over a second of a processor."""
PIPELINES = "tests/e2e/"
"""A forked run takes a tenth of a second, in two processes twice as long."""
SEED = "BIZON_TEST_SEED"
WITHOUT_GIT = "1"


def pytest_configure() -> None:
    """All processes of a run use one seed, even when a commit is made meanwhile."""
    os.environ[SEED] = seed()


def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and is_sampled(session.config):
        reporter.write_line(f"Cases: a part of the long matrices. To run the same part again: {SEED}={seed()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if is_sampled(config):
        items[:] = sampled(items)


def is_sampled(config: pytest.Config) -> bool:
    """Whether only some cases run: not with all tests, and not when somebody names the tests to run."""
    is_named = any("::" in argument for argument in config.args) or bool(config.option.keyword)
    return not (is_long() or is_named)


def is_long() -> bool:
    """Whether all cases run."""
    return bool(os.environ.get("BIZON_TEST_LONG"))


def examples(number: int) -> int:
    """``max_examples`` of a test by properties: the number in the long run, a twelfth of it otherwise."""
    return number if is_long() else -(-number // 12)


def interruptions() -> int:
    """``most_interruptions`` of a suite whose jobs take long: all in the long run, a few otherwise."""
    return 0 if is_long() else 6


def seed() -> str:
    """BIZON_TEST_SEED; without it, what the commit in the folder of this file holds."""
    return os.environ.get(SEED) or _tree_of_the_commit()


@cache
def _tree_of_the_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=8", "HEAD^{tree}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return WITHOUT_GIT


def sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests to run, in their order."""
    shares: dict[tuple[str, int], list[pytest.Item]] = defaultdict(list)  # by pool and share
    coverings: dict[str, list[pytest.Item]] = defaultdict(list)
    ordered = sorted(items, key=lambda item: zlib.crc32(f"{seed()} {item.nodeid}".encode()))
    for item in ordered:
        mark = item.get_closest_marker("matrix")
        if mark is not None:
            pool = mark.kwargs.get("pool") or f"{item.nodeid.partition('::')[0]} {item.originalname}"
            shares[pool, int(mark.kwargs.get("share", SHARE))].append(item)
        elif DEAREST in item.fixturenames:
            shares[DEAREST, 6].append(item)
        elif item.nodeid.startswith(PIPELINES) or COSTLY.intersection(item.fixturenames):
            coverings[item.nodeid.partition("::")[0]].append(item)
    dropped = {item.nodeid for cases in (*shares.values(), *coverings.values()) for item in cases}
    for (_, share), cases in shares.items():
        shown = {item.nodeid: frozenset([item.originalname, item.parent.nodeid, *_values(item)]) for item in cases}
        dropped.difference_update(chosen(shown, -(-len(cases) // share) if share else 0))
    for cases in coverings.values():
        shown = {item.nodeid: frozenset([item.nodeid.partition("[")[0], *_values(item)]) for item in cases}
        dropped.difference_update(chosen(shown))
    here = {item.parent.nodeid for item in items if item.nodeid not in dropped}
    never = {item.nodeid for (_, share), cases in shares.items() for item in cases if share == 0}
    for item in ordered:
        if item.parent.nodeid not in here and item.nodeid not in never:
            dropped.remove(item.nodeid)
            here.add(item.parent.nodeid)
    return [item for item in items if item.nodeid not in dropped]


def _values(item: pytest.Item) -> Iterable[str]:
    """The values of its parameters."""
    return [f"{name}={value!r}" for name, value in item.callspec.params.items()] if hasattr(item, "callspec") else []


def chosen(shown: Mapping[str, frozenset[str]], most: int | None = None) -> list[str]:
    """That many cases, those first of which most is new; None: until nothing is new. ``shown``: what each one shows."""
    left, everything = dict(shown), frozenset().union(*shown.values())
    missing, found = everything, list[str]()
    while missing if most is None else len(found) < most:
        missing = missing or everything
        found.append(max(left, key=lambda case: len(left[case] & missing) / len(left[case])))
        missing -= left.pop(found[-1])
    return found
