"""Which cases of a test ``make test`` runs; ``make test-long`` and BIZON_TEST_LONG=1 run all.

A test with ``@pytest.mark.matrix(share=4)`` runs a quarter of its cases, and at least one; of tests with the same
``pool``, a quarter of the cases of all of them together runs. Among them are as many functions and values of parameters
as that number of cases can show. With ``covering=True`` each value of each parameter is among them, whatever the share.
That holds too for an unmarked test with the fixture ``warehouse``: it sends a hundred requests to the BigQuery
emulator, and each costs some ten milliseconds.

BIZON_TEST_SEED picks the cases. By default it is taken from the tree of the commit, so each change of the code runs
other cases, and a run of the same code the same ones.
"""

import os
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

SHARE = 3
SEED = "BIZON_TEST_SEED"
WITHOUT_GIT = "1"


def is_sampled(config: pytest.Config) -> bool:
    """Whether only some cases run: not with all tests, and not when somebody names the tests to run."""
    is_named = any("::" in argument for argument in config.args) or bool(config.option.keyword)
    return not (is_long() or is_named)


def is_long() -> bool:
    """Whether all cases run."""
    return bool(os.environ.get("BIZON_TEST_LONG"))


def examples(number: int) -> int:
    """``max_examples`` of a test by properties: so many in the long run, a quarter of them otherwise."""
    return number if is_long() else -(-number // 4)


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
    shares: dict[tuple[str, str, int], list[pytest.Item]] = defaultdict(list)
    coverings: dict[str, list[pytest.Item]] = defaultdict(list)
    ordered = sorted(items, key=lambda item: zlib.crc32(f"{seed()} {item.nodeid}".encode()))
    for item in ordered:
        mark = item.get_closest_marker("matrix")
        if mark is not None:
            group = mark.kwargs.get("pool", item.originalname)
            shares[item.nodeid.partition("::")[0], group, int(mark.kwargs.get("share", SHARE))].append(item)
        if "warehouse" in item.fixturenames if mark is None else mark.kwargs.get("covering"):
            coverings[item.nodeid.partition("[")[0]].append(item)
    dropped = {item.nodeid for cases in (*shares.values(), *coverings.values()) for item in cases}
    for (*_, share), cases in shares.items():
        dropped.difference_update(chosen(cases, -(-len(cases) // share)))
    for cases in coverings.values():
        dropped.difference_update(chosen(cases))
    return [item for item in items if item.nodeid not in dropped]


def chosen(cases: list[pytest.Item], most: int | None = None) -> list[str]:
    """That many of the cases, by id: those first whose function and values of parameters are new. None: until nothing
    is new."""
    values = {item.nodeid: frozenset(_values(item)) for item in cases}
    missing = set().union(*values.values())
    found: list[str] = []
    while missing if most is None else len(found) < most:
        best = max(values, key=lambda case: len(values[case] & missing) / len(values[case]))
        found.append(best)
        missing -= values.pop(best)
    return found


def _values(item: pytest.Item) -> Iterable[str]:
    yield item.nodeid.partition("[")[0]
    if hasattr(item, "callspec"):
        yield from (f"{name}={value!r}" for name, value in item.callspec.params.items())
