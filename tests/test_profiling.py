"""A profile of the tests counts what each of them costs, in this process and below it."""

import json
import subprocess
import sys
from pathlib import Path

import profiling
import pytest

SPENDING = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
CHILDREN = ("in_a_child[0]", "in_a_child[1]")
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
TESTS = f"""
import subprocess, sys
import pytest

def test_here():
    exec({SPENDING!r})

@pytest.mark.parametrize("number", range(2))
def test_in_a_child(number):
    subprocess.run([sys.executable, "-c", {SPENDING!r}], check=True)
"""


def test_a_profile_tells_the_worker_from_the_processes_below_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pytester.path / "profile"
    monkeypatch.setenv(profiling.VARIABLE, str(file))
    pytester.makepyfile(test_it=TESTS)
    pytester.runpytest_inprocess("-p", "profiling", "-p", "no:cacheprovider", "-q").assert_outcomes(passed=3)
    costs = dict(profiling.read(file))
    assert [*costs] == [profiling.COLLECTION, *(f"test_it.py::test_{name}" for name in ("here", *CHILDREN))]
    assert costs["test_it.py::test_here"].own >= 0.1
    assert all(costs[f"test_it.py::test_{name}"].below >= 0.09 for name in CHILDREN)


def test_the_cost_of_a_child_that_still_runs_counts() -> None:
    before = profiling.below()
    with subprocess.Popen([sys.executable, "-c", f"{SPENDING}print(flush=True)\ninput()"], **PIPES) as child:  # type: ignore[call-overload]
        child.stdout.readline()
        while_it_runs = profiling.below()
        child.stdin.close()
    assert while_it_runs - before >= 0.09
    assert profiling.below() >= while_it_runs


def test_the_dearest_file_comes_first_and_a_place_shows_its_tests(tmp_path: Path) -> None:
    lines = [
        ["a/test_x.py::test_one[1]", 1, 0, 9],
        ["a/test_x.py::test_one[2]", 1, 2.5, 9],
        ["test_y.py::test_z", 8, 0, 9],
    ]
    (tmp_path / "profile").write_text("".join(json.dumps(line) + "\n" for line in lines))
    profile = profiling.read(tmp_path / "profile")
    assert [line.split()[-1] for line in profiling.summary(profile)] == ["test_y.py", "a/test_x.py", "all"]
    (test, total) = profiling.summary(profile, "a/")
    assert test == "    2 cases  cpu     4.5 s (below    2.5), wall    18.0 s  a/test_x.py::test_one"
    assert total.startswith(test.rpartition("  ")[0])
