"""A short, seeded piece of the chaos loop; ``python tests/e2e/crash/chaos.py --n 500`` is the long one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.crash.hosts import why_not

CHAOS = Path(__file__).with_name("chaos.py")
JOINED = Path(__file__).with_name("joined_chaos.py")


def printed_by(script: Path, *arguments: str) -> str:
    """The output of a chaos loop, which has found nothing."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.matrix
@pytest.mark.lesson("F-08", "F-09", "F-11")
@pytest.mark.parametrize(("mode", "seed"), [("full_refresh", 3), ("incremental", 2), ("stream", 4)])
def test_runs_killed_and_frozen_at_random_lose_nothing_and_bring_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    """A kill used to leave rows twice, and jobs that could never run again; a run that woke up late cut rows off."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    short = ["--n", "3", "--pages", "8", "--delay", "0.05"]
    printed = printed_by(CHAOS, *short, "--seed", str(seed), "--mode", mode)
    found = re.search(r": (\d+) kills, (\d+) freezes, .*, 0 lost, 0 duplicated, 0 half, 0 stuck;", printed)
    assert found, printed
    assert int(found[1]) + int(found[2]) == 3
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.matrix
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_commands_that_share_a_job_may_die_and_freeze_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    short = ["--n", "3", "--workers", "2", "--pages", "12", "--delay", "0.05"]
    assert "nothing lost, doubled or stuck" in printed_by(JOINED, *short, "--seed", str(seed))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.matrix(share=4)
@pytest.mark.parametrize("seed", [1, 2])
def test_commands_on_hosts_of_their_own_may_die_freeze_and_be_cut_off(
    seed: int,
) -> None:
    """Not in the folder of the test, which the user of a private Postgres may not enter."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    short = ["--n", "3", "--workers", "3", "--pages", "18", "--delay", "0.1", "--hosts"]
    assert "nothing lost, doubled or stuck" in printed_by(JOINED, *short, "--seed", str(seed))
