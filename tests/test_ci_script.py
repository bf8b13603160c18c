"""``.ci/run`` runs all steps, also after one has failed, and fails then. ``make`` is replaced."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci/run"
STEPS = {
    "install": "-j 3 install emulator node-servers",
    "format": "format-check",
    "lint": "lint",
    "quickstart": "run",
    "tests": "test",
    "types": "types",
}
MAKE = """#!/bin/sh
echo "$*" >>made
[ "$*" != types ] || mkdir -p "$MYPY_CACHE_DIR"
[ "$*" != "$FAILS" ]
"""


def ci(folder: Path, fails: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script in a folder where ``make`` with these arguments fails."""
    (folder / ".ci").mkdir(exist_ok=True)
    shutil.copy(SCRIPT, folder / ".ci/run")
    make = folder / "bin/make"
    make.parent.mkdir(exist_ok=True)
    make.write_text(MAKE)
    make.chmod(0o755)
    env = {**os.environ, "PATH": f"{make.parent}{os.pathsep}{os.environ['PATH']}", "FAILS": fails}
    return subprocess.run([folder / ".ci/run"], env=env, capture_output=True, text=True, timeout=100, check=False)


def test_all_steps_that_pass_are_a_success(tmp_path: Path) -> None:
    done = ci(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "== all passed" in done.stdout
    assert sorted((tmp_path / "made").read_text().splitlines()) == sorted(STEPS.values())


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_named_and_the_others_run(tmp_path: Path, step: str) -> None:
    done = ci(tmp_path, STEPS[step])
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"== failed: {step}\n" in done.stdout
    assert len((tmp_path / "made").read_text().splitlines()) == len(STEPS)


def test_the_tests_find_the_cache_of_a_whole_check_of_types_or_none(tmp_path: Path) -> None:
    ci(tmp_path, "types")
    assert not (tmp_path / ".mypy_cache").exists()
    ci(tmp_path)
    assert (tmp_path / ".mypy_cache").is_dir()
    (tmp_path / ".mypy_cache/kept").touch()
    assert ci(tmp_path).returncode == 0
    assert (tmp_path / ".mypy_cache/kept").exists()
