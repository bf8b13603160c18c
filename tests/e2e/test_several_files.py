"""Commands on one file or several, from anywhere, with as few secrets as they need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import commands
import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="several files")

EVERYTHING = list(range(20))


def bizon(folder: Path, *arguments: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
    done = commands.run([*commands.BIZON, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def second(pipeline: "Pipeline") -> Path:
    """Another pipeline on the same state: it has failed."""
    pipeline.run()
    config = {**pipeline.config, "name": "second", "destination": {"name": "logger"}}
    path = pipeline.folder / "second.yml"
    path.write_text(yaml.safe_dump({**config, "source": {**config["source"], "fail_at": 1}}))
    bizon(pipeline.folder, "run", "second.yml", expect=1)
    return path


def test_the_status_needs_only_the_secrets_of_the_state(pipeline: "Pipeline") -> None:
    """It used to end with `environment variable ... is not set` on a machine that only watches."""
    pipeline.run()
    pipeline.source(item_bytes="BIZON_ENV_NOWHERE", source_file_path="gone.py", stream="items")
    pipeline.destination(buffer_size="${env://NOWHERE}")
    assert "State: succeeded" in pipeline.bizon("status", "config.yml").stdout
    pipeline.set("engine.backend", {"type": "postgres", "config": {"password": "BIZON_ENV_NOWHERE"}})
    told = pipeline.bizon("status", "config.yml", expect=2).stderr
    assert "config.yml:" in told
    assert "engine.backend.config.password: environment variable BIZON_ENV_NOWHERE is not set" in told


@pytest.mark.usefixtures("second")
def test_the_status_of_several_files_is_a_failure_when_one_is(pipeline: "Pipeline") -> None:
    assert "State: succeeded" in bizon(pipeline.folder, "status", "config.yml").stdout
    both = bizon(pipeline.folder, "status", "config.yml", "second.yml", expect=1).stdout
    assert [line for line in both.splitlines() if line.startswith(("Pipeline", "State"))] == [
        "Pipeline: pipe (items.items)",
        "State: succeeded",
        "Pipeline: second (items.items)",
        "State: failed",
    ]
    reports = json.loads(bizon(pipeline.folder, "status", "--json", "config.yml", "second.yml", expect=1).stdout)
    assert [report["state"] for report in reports] == ["succeeded", "failed"]
    one = json.loads(bizon(pipeline.folder, "status", "--json", "second.yml", expect=1).stdout)
    assert one["state"] == "failed"


@pytest.mark.usefixtures("second")
def test_an_invalid_file_does_not_hide_the_others(pipeline: "Pipeline") -> None:
    done = bizon(pipeline.folder, "status", "missing.yml", "config.yml", expect=2)
    assert "missing.yml: cannot be read" in done.stderr
    assert "State: succeeded" in done.stdout


def test_a_pipeline_that_was_killed_has_failed(pipeline: "Pipeline") -> None:
    pipeline.source(kill_at=2).run("--runner", "thread", expect=-9)
    assert "its run is gone" in pipeline.bizon("status", "config.yml", expect=1).stdout


@pytest.mark.usefixtures("second")
def test_several_files_are_validated_each(pipeline: "Pipeline") -> None:
    (pipeline.folder / "wrong.yml").write_text("name: wrong\n")
    done = bizon(pipeline.folder, "config", "validate", "config.yml", "wrong.yml", "second.yml", expect=2)
    assert [line.partition(" is valid")[0] for line in done.stdout.splitlines()] == ["config.yml", "second.yml"]
    assert "wrong.yml" in done.stderr
    bizon(pipeline.folder, "config", "validate", "config.yml", "second.yml")


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_paths_start_at_the_folder_of_the_file(pipeline: "Pipeline", tmp_path: Path, runner: str) -> None:
    """State, output, dead letters, files of the source, .env: all are next to the file, wherever the command runs."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    pipeline.set("paths", "config")
    pipeline.set("source.item_bytes", "BIZON_ENV_SIZE")
    pipeline.set("on_error", "dead_letter")
    (home / "pipe.yml").write_text(yaml.safe_dump(pipeline.config))
    (home / ".env").write_text("BIZON_ENV_SIZE=12\n")
    flags = ("--runner", runner, "--result-json", "result.json")
    done = bizon(elsewhere, "run", "../home/pipe.yml", *flags)
    assert f"Records: {home / 'out.json'}\n" in done.stdout
    assert {path.name for path in elsewhere.iterdir()} == {"result.json"}
    assert {"out.json", "state.sqlite3", "trace.txt"} <= {path.name for path in home.iterdir()}
    assert json.loads((elsewhere / "result.json").read_text())["status"] == "success"
    assert "State: succeeded" in bizon(tmp_path, "status", "home/pipe.yml").stdout
    assert "is valid" in bizon(tmp_path, "config", "validate", "home/pipe.yml").stdout
    bizon(tmp_path, "stream", "reset", "home/pipe.yml")
    assert "Reset: requested" in bizon(elsewhere, "status", str(home / "pipe.yml")).stdout
    assert {path.name for path in tmp_path.iterdir()} == {"home", "elsewhere"}


def test_by_default_paths_start_at_the_working_directory_and_are_shown_absolute(pipeline: "Pipeline") -> None:
    assert f"Records: {pipeline.folder / 'out.json'}\n" in pipeline.run().stdout


def test_a_program_gets_a_hint_to_change_the_folder_itself(pipeline: "Pipeline", tmp_path: Path) -> None:
    """The working directory belongs to the program: it is not changed behind its back, nor is the option ignored."""
    (tmp_path / "home").mkdir()
    pipeline.set("paths", "config")
    (tmp_path / "home" / "pipe.yml").write_text(yaml.safe_dump(pipeline.config))
    script = "from bizon import RunnerFactory; RunnerFactory.create_from_yaml('home/pipe.yml').run()"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "paths: config works for the command only" in done.stderr
    assert "contextlib.chdir" in done.stderr
    within = f"import contextlib\nwith contextlib.chdir('home'):\n    {script.replace('home/', '').replace('; ', ';')}"
    subprocess.run([sys.executable, "-c", within], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "home" / "out.json").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(tmp_path: Path, shell: str) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "bizon", "--install-completion", shell]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{shell} completion installed" in done.stdout
    asked = {**env, "_BIZON_COMPLETE": f"complete_{shell}", "COMP_WORDS": "bizon sta", "COMP_CWORD": "1"}
    asked |= {"_TYPER_COMPLETE_ARGS": "bizon sta", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    offered = subprocess.run([sys.executable, "-m", "bizon"], env=asked, capture_output=True, text=True, check=False)
    assert "status" in offered.stdout
