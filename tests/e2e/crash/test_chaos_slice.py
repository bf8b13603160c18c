"""A short, seeded piece of the chaos loop; ``python tests/e2e/crash/chaos.py --n 500`` is the long one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).with_name("chaos.py")


@pytest.mark.lesson("F-09", "F-11")
def test_runs_killed_at_random_lose_nothing_and_bring_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill used to leave rows twice, and jobs that could never run again."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--n", "6", "--seed", "3", "--pages", "12", "--delay", "0.05"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r": 6 kills, \d+ resumes, 0 lost, 0 duplicated, 0 half, 0 stuck;", done.stdout), done.stdout
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
