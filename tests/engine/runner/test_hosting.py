"""Processes that cannot host a run: each says at once why not, and what to do instead.

They are real ones, started as a user would start them, by ``subprocess``: these tests are about forks.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.engine.runner import prerequisites
from bizon.engine.runner.adapters import spawning
from bizon.engine.runner.adapters.spawning import check_children, shared_memory
from bizon.engine.runner.prerequisites import check_threads

pytestmark = pytest.mark.matrix(share=4, pool="hosts")

BOUND = 110  # seconds; reached only when something hangs
PIPELINE = """
import os, sys
import polars
from bizon import RunnerFactory

CONFIG = {
    "name": "hosted",
    "source": {
        "name": "dummy", "stream": "creatures", "authentication": {"type": "api_key", "params": {"token": "any"}}
    },
    "destination": {"name": "file", "config": {"destination_id": "out"}},
    "engine": {"runner": {"type": "RUNNER"}},
}

def run():
    try:
        print(RunnerFactory.create_from_config_dict(CONFIG).run().to_string(), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)

def use_polars():
    polars.DataFrame({"a": range(100_000)}).group_by("a").len()

def fork():
    child = os.fork()
    if child == 0:
        run()
        os._exit(0)
    os.waitpid(child, 0)
"""


def script(folder: Path, body: str, runner: str = "thread", *, stdin: bool = False) -> str:
    """The output of a script that ends with ``body``."""
    text = PIPELINE.replace("RUNNER", runner) + body
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, *([] if stdin else ["script.py"])],
        input=text if stdin else None,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("runner", ["thread", "stream"])
def test_a_fork_of_a_process_that_used_polars_says_so_instead_of_hanging(tmp_path: Path, runner: str) -> None:
    said = script(tmp_path, "use_polars()\nfork()\n", runner)
    assert "ConfigError engine.runner.type: process " in said
    assert "was forked from one that had used Polars" in said
    assert "use engine.runner.type: process" in said


def test_a_fork_that_used_polars_can_use_the_process_runner(tmp_path: Path) -> None:
    assert "status Success" in script(tmp_path, "if __name__ == '__main__':\n    use_polars()\n    fork()\n", "process")


def test_a_fork_of_a_process_that_only_imported_polars_works(tmp_path: Path) -> None:
    assert "status Success" in script(tmp_path, "fork()\n")


def test_a_process_that_used_polars_itself_works(tmp_path: Path) -> None:
    assert "status Success" in script(tmp_path, "use_polars()\nrun()\n")


def test_threads_under_another_name_are_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "_has_polars_threads", lambda: False)
    check_threads()


def test_a_daemonic_worker_says_that_it_may_start_no_processes(tmp_path: Path) -> None:
    body = """
if __name__ == "__main__":
    from multiprocessing import get_context
    with get_context("spawn").Pool(1) as pool:
        pool.apply(run)
"""
    said = script(tmp_path, body, "process")
    assert "ConfigError engine.runner.type: runner process starts two processes" in said
    assert "is daemonic, like" in said
    assert "use engine.runner.type: thread" in said


def test_a_script_without_a_guard_is_asked_to_add_one(tmp_path: Path) -> None:
    said = script(tmp_path, "run()\n", "process")
    assert said.count("ConfigError") == 1
    assert "`if __name__ == '__main__':`" in said


def test_a_script_from_stdin_is_asked_to_be_a_file(tmp_path: Path) -> None:
    said = script(tmp_path, "run()\n", "process", stdin=True)
    # where Python gives such a script no file name at all, its children need none
    assert "Success" in said or "is not a file, as when a script is read from stdin; save it as a file" in said


def test_a_deleted_script_is_asked_to_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", "/nowhere/<stdin>", raising=False)
    with pytest.raises(ConfigError, match=r"'/nowhere/<stdin>' is not a file.* use engine\.runner\.type: thread"):
        check_children()


def test_a_system_without_shared_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system", "/dev/shm/pym-1")

    monkeypatch.setattr(spawning, "RawArray", refuse)
    with pytest.raises(ConfigError, match=r"shared memory.*Read-only file system \(/dev/shm/pym-1\); mount /dev/shm"):
        shared_memory("b", 1)


def test_the_time_limit_of_a_host_reaches_it_through_the_one_thread_of_the_stream_runner(tmp_path: Path) -> None:
    """It used to be reported as an error of the source, and the host's task continued."""
    body = """
import signal

class TimeLimit(Exception):
    pass

def limit(*_):
    raise TimeLimit("the time is up")

signal.signal(signal.SIGALRM, limit)
CONFIG["source"]["sleep"] = 300
signal.alarm(3)
run()
"""
    assert script(tmp_path, body, "stream") == "TimeLimit the time is up\n"
    with closing(sqlite3.connect(tmp_path / "bizon.sqlite3")) as state:
        (status,) = state.execute("SELECT status FROM stream_jobs").fetchone() or ("failed",)
    assert status == "failed"
