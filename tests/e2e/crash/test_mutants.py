"""Each guard can be switched off, and the runner distinguishes a catch from a survivor and from its own faults.

All of them, run to the end: ``make chaos-mutants``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from e2e.crash import mutants
from e2e.crash.mutants import CAUGHT, HOOK, NOT_JUDGED, ROOT, SURVIVED, Outcome, verdict
from guards import HookError, guards, put, swap

APPLIED = "applied Loader.write\n"
FAILED = "FAILED tests/test_it.py::test_it[a b] - assert 1 == 2\n"


def run(*arguments: str) -> tuple[int, list[str]]:
    """The runner's exit code and lines; the tests are not run unchanged first."""
    command = [sys.executable, mutants.__file__, "--no-baseline", "--workers", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.matrix(share=16)
@pytest.mark.parametrize("name", guards())
def test_a_guard_can_be_switched_off(name: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    done = commands.run(
        [*commands.CODE, f"import {guards()[name].module}"],
        env={**os.environ, "PYTHONPATH": str(HOOK), "GUARD_OFF": name, "GUARD_LOG": str(notes)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in notes.read_text().splitlines()} == {"applied"}


def test_each_guard_names_tests_that_exist() -> None:
    assert all(guard.caught_by for guard in guards().values())
    for test in {test for guard in guards().values() for test in guard.caught_by}:
        path, *inside = test.partition("[")[0].split("::")
        text = "\n".join(file.read_text() for file in (ROOT / path, *(ROOT / "bizon/testing").glob("*.py")))
        assert all(re.search(rf"(def {part}\(|class {part}[:(])", text) for part in inside), test


def test_there_are_enough_guards() -> None:
    assert len(guards()) >= 12


@pytest.mark.matrix(share=6, pool="the runner of mutants")
def test_a_guard_whose_absence_fails_a_test_is_caught() -> None:
    code, lines = run("gaps_are_committed", "spool_is_never_truncated")
    assert [line.split()[:3] for line in lines[:2]] == [
        ["gaps_are_committed", "caught", "by"],
        ["spool_is_never_truncated", "caught", "by"],
    ]
    assert lines[2:] == ["2 mutants, 2 caught, 0 survived"]
    assert code == 0


@pytest.mark.matrix(share=6, pool="the runner of mutants")
def test_a_guard_whose_absence_fails_no_test_is_a_survivor() -> None:
    other = "tests/engine/pipeline/test_loader.py::test_prepare_hands_over_the_resume_point"
    code, lines = run("gaps_are_committed", "--against", other)
    assert [line.split() for line in lines[:1]] == [["gaps_are_committed", "SURVIVED"]]
    assert lines[1:] == ["1 mutants, 0 caught, 1 survived"]
    assert code == 1


@pytest.mark.matrix(share=6, pool="the runner of mutants")
def test_tests_that_cannot_run_catch_nothing() -> None:
    code, lines = run("gaps_are_committed", "--against", "tests/engine/pipeline/test_loader.py::test_gone")
    assert lines[0].split()[:3] == ["gaps_are_committed", "NOT", "JUDGED"]
    assert lines[-1] == "1 mutants, 0 caught, 0 survived, 1 not judged"
    assert code == 1


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(2, FAILED, APPLIED), (CAUGHT, "tests/test_it.py::test_it[a b]")),
        (Outcome(0, "1 passed", APPLIED), (SURVIVED, "")),
        (Outcome(2, FAILED, APPLIED + "broken it: AttributeError"), (NOT_JUDGED, "broken it: AttributeError")),
        (Outcome(2, FAILED, ""), (NOT_JUDGED, "it was never switched off")),
        (Outcome(2, "ERROR tests/test_it.py - ImportError", APPLIED), (NOT_JUDGED, "pytest ended with 2")),
    ],
    ids=["caught", "survived", "broken hook", "never applied", "error"],
)
def test_a_failure_that_the_hook_caused_does_not_count_as_caught(outcome: Outcome, expected: tuple[str, str]) -> None:
    word, what = verdict(outcome)
    assert (word, what.partition("\n")[0]) == expected


@pytest.mark.parametrize("name", ["gone", "inherited"])
def test_a_function_that_is_gone_or_has_moved_cannot_be_replaced(name: str) -> None:
    base = type("Base", (), {"inherited": lambda: None})
    with pytest.raises(HookError, match=f"has no '{name}' of its own"):
        swap(type("Owner", (base,), {}), name, lambda _inner: lambda: None)


def test_a_replacement_that_no_longer_fits_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_LOG", str(tmp_path / "notes"))
    owner = type("Owner", (), {"write": lambda self: None, "mark": lambda self: None, "read": lambda self: None})
    swap(owner, "write", lambda _inner: lambda self: self.gone)
    swap(owner, "mark", lambda _inner: lambda self: put(self, "gone", 2))
    swap(owner, "read", lambda _inner: lambda self: os.environ["NOT_SET"])
    for method, error in (("write", AttributeError), ("mark", HookError), ("read", KeyError)):
        with pytest.raises(error):
            getattr(owner(), method)()
    notes = (tmp_path / "notes").read_text().splitlines()
    assert [line.split()[0] for line in notes] == ["applied"] * 3 + ["broken"] * 2
    assert notes[-1].endswith("HookError: Owner has no 'gone'")


def test_a_guard_that_does_not_exist_ends_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "print('alive')"],
        env={**os.environ, "PYTHONPATH": str(HOOK), "GUARD_OFF": "nothing_of_the_kind"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no guard 'nothing_of_the_kind'" in done.stderr
    assert done.stdout == ""
