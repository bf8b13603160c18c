"""The plug-in package in examples/: built as a wheel, installed into a folder, listed and run. Without a network."""

import json
import os
import shutil
import sys
from pathlib import Path

import commands
import pytest

ROOT = Path(__file__).parents[2]
CITIES = ["Nairobi", "Lyon", "Springfield, Illinois", "Sapporo", "Cusco"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "examples/plugin", folder / "plugin", ignore=shutil.ignore_patterns("cities"))
    python(["-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], folder / "plugin")
    (wheel,) = folder.glob("*.whl")
    offline = ["--no-index", "--no-deps", "--disable-pip-version-check"]
    python(["-m", "pip", "install", "-q", *offline, "--target", str(folder / "site"), str(wheel)], folder)
    return folder / "site"


def python(arguments: list[str], folder: Path, path: Path | None = None) -> str:
    env = {**os.environ, "PYTHONPATH": str(path or "")}
    done = commands.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def bizon(site: Path, tmp_path: Path):
    """The command where the package is installed; the example is in the working directory."""
    for name in ("plugin.example.yml", "cities.csv"):
        shutil.copy(ROOT / "examples/plugin" / name, tmp_path)
    return lambda *arguments: python(["-m", "bizon", *arguments], tmp_path, site)


def lines(folder: Path) -> list[str]:
    return [
        json.loads(line)["name"]
        for file in sorted((folder / "cities").glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def test_the_connectors_of_the_package_are_listed(bizon):
    assert "csv_file - plug-in of bizon-folder 0.1.0" in bizon("source", "list")
    assert "folder - plug-in of bizon-folder 0.1.0" in bizon("destination", "list")
    assert "[Full refresh only] - rows" in bizon("stream", "list", "csv_file")


def test_the_example_runs_and_a_second_run_replaces_its_output(bizon, tmp_path):
    bizon("run", "plugin.example.yml")
    bizon("run", "plugin.example.yml")
    assert lines(tmp_path) == CITIES


def test_the_example_is_checked_and_previewed_without_a_trace(bizon, tmp_path):
    assert "ok      destination  folder" in bizon("check", "plugin.example.yml")
    assert "rows: 5 records" in bizon("preview", "plugin.example.yml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cities.csv", "plugin.example.yml"]
