"""A short, seeded piece of the chaos loop; ``python tests/e2e/crash/chaos.py --n 500`` is the long one."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from e2e.crash.hosts import why_not
from postgres import Place
from servers import server_or_skip

CHAOS = Path(__file__).with_name("chaos.py")
JOINED = Path(__file__).with_name("joined_chaos.py")
NOTHING = "nothing lost, doubled or stuck"


def printed_by(script: Path, *arguments: str, seconds: float = 110) -> str:
    """The output of a chaos loop, which has found nothing."""
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
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


@pytest.mark.parametrize(("runner", "seed"), [("thread", 6), ("process", 7)])
def test_runs_that_fetch_partitions_may_die_and_freeze_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, seed: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    short = ["--n", "2", "--pages", "8", "--delay", "0.05", "--mode", "full_refresh", "--workers", "3"]
    printed = printed_by(CHAOS, *short, "--seed", str(seed), "--runner", runner)
    assert ", 0 lost, 0 duplicated, 0 half, 0 stuck;" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("runner", "seed"), [("thread", 1), ("process", 2)])
def test_commands_that_share_a_job_may_die_and_freeze_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, seed: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    short = ["--n", "3", "--workers", "2", "--pages", "12", "--delay", "0.05", "--runner", runner]
    assert NOTHING in printed_by(JOINED, *short, "--seed", str(seed))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
def test_drivers_of_a_ray_cluster_may_die_and_freeze_at_random(postgres_server: Place) -> None:
    """Not in the folder of the test: the names of Ray's sockets have a bound."""
    if find_spec("ray") is None:
        server_or_skip("Ray", "install it with pip install 'bizon[ray]'")
    short = ["--n", "2", "--workers", "2", "--pages", "8", "--runner", "ray", "--postgres", postgres_server.url]
    assert NOTHING in printed_by(JOINED, *short, "--seed", "3", seconds=280)


@pytest.mark.matrix(share=4)
@pytest.mark.parametrize("seed", [1, 2])
def test_commands_on_hosts_of_their_own_may_die_freeze_and_be_cut_off(
    seed: int,
) -> None:
    """Not in the folder of the test, which the user of a private Postgres may not enter."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    short = ["--n", "3", "--workers", "3", "--pages", "18", "--delay", "0.1", "--hosts"]
    assert NOTHING in printed_by(JOINED, *short, "--seed", str(seed))
