"""Which cases of a test ``make test`` runs; ``make test-long`` and BIZON_TEST_LONG=1 run all.

A test with ``@pytest.mark.matrix(share=4)`` runs a quarter of its cases, and at least one; of tests with the same
``pool``, a quarter of the cases of all of them together runs. With ``share=0`` none runs: it needs a program that the
machines of ``make test`` need not have. Another test that uses the
fixture ``warehouse`` runs the cases that bring each value of each parameter: it sends a hundred requests to the
BigQuery emulator, and each costs some ten milliseconds. BIZON_TEST_SEED picks other cases.
"""

import os
import zlib
from collections import defaultdict

import pytest

SHARE = 3


def is_sampled(config: pytest.Config) -> bool:
    """Whether only some cases run: not with all tests, and not when somebody names the tests to run."""
    is_named = any("::" in argument for argument in config.args) or bool(config.option.keyword)
    return not (os.environ.get("BIZON_TEST_LONG") or is_named)


def sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests to run, in their order."""
    seed = os.environ.get("BIZON_TEST_SEED", "1")
    shares: dict[tuple[str, str, int], list[pytest.Item]] = defaultdict(list)
    coverings: dict[str, list[pytest.Item]] = defaultdict(list)
    dropped = set()
    for item in sorted(items, key=lambda item: zlib.crc32(f"{seed} {item.nodeid}".encode())):
        mark = item.get_closest_marker("matrix")
        if mark is not None:
            share = int(mark.kwargs.get("share", SHARE))
            group = mark.kwargs.get("pool", item.originalname)
            shares[item.nodeid.partition("::")[0], group, share].append(item)
        elif "warehouse" in item.fixturenames and hasattr(item, "callspec"):
            coverings[item.nodeid.partition("[")[0]].append(item)
    for (*_, share), cases in shares.items():
        few = -(-len(cases) // share) if share else 0
        dropped |= {item.nodeid for item in cases[few:]}
    for cases in coverings.values():
        dropped |= {item.nodeid for item in cases} - {item.nodeid for item in covering(cases)}
    return [item for item in items if item.nodeid not in dropped]


def covering(cases: list[pytest.Item]) -> list[pytest.Item]:
    """Some of the cases, among which each value of each parameter occurs; those that bring most new values first."""
    values = {item.nodeid: {f"{name}={value!r}" for name, value in item.callspec.params.items()} for item in cases}
    missing = set().union(*values.values())
    found = []
    while missing:
        found.append(max(cases, key=lambda item: len(values[item.nodeid] & missing)))
        missing -= values[found[-1].nodeid]
    return found
