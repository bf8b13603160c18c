"""Guards that only one kind of accident needs: without these tests nobody would notice their removal."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.crash.crash_kit import FORMATS, MODES, Rig, kill_group

if TYPE_CHECKING:
    from conftest import Pipeline

CRASH_CLI = Path(__file__).with_name("crash_cli.py")
EVERYTHING = list(range(20))
LARGEST_FILE = 4_000_000  # bytes; the state stays below
WaitFor = Callable[[Callable[[], bool]], None]


def die(pipeline: "Pipeline", point: str) -> None:
    """The run dies at a point of the crash matrix."""
    assert pipeline.command
    command = [sys.executable, str(CRASH_CLI), point, "run", "config.yml"]
    died = subprocess.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr


def run_on_a_full_disk(pipeline: "Pipeline") -> str:
    """The kernel refuses to let a file grow beyond a size, as a full disk does; what the failed run printed."""
    failed = subprocess.run(
        pipeline.command,
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE)),
    )
    assert failed.returncode == 1, failed.stderr
    assert "File too large" in failed.stderr
    assert pipeline.jobs()[-1][0] == "failed"
    return failed.stderr


def committed_pages(pipeline: "Pipeline") -> list[tuple[int, int]]:
    with closing(sqlite3.connect(pipeline.folder / "state.sqlite3")) as state:
        return state.execute("SELECT from_source_iteration, to_source_iteration FROM destination_cursors").fetchall()


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_rows_of_a_batch_that_was_cut_off_are_gone_when_it_is_cut_differently(
    tmp_path: Path, mode: str, format: str
) -> None:
    """Pages repeated in the same batch replace the leftover rows; in other batches the rows would be duplicated."""
    rig = Rig(tmp_path, mode, format)
    rig.destination["buffer_size"] = 50
    assert rig.run("after_write") == -signal.SIGKILL, rig.log()
    rig.destination["buffer_size"] = 0
    assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []


@pytest.mark.lesson("F-10")
@pytest.mark.parametrize("format", FORMATS)
def test_an_append_of_a_stream_without_a_checkpoint_is_rolled_back(pipeline: "Pipeline", format: str) -> None:
    pipeline.source(sync_mode="stream", max_iterations=4).destination(format=format)
    die(pipeline, "after_write:2")
    assert pipeline.ids(f"out.{format}") == list(range(10))
    pipeline.run()
    assert pipeline.ids(f"out.{format}") == [*range(5), *EVERYTHING], "page 1 has no checkpoint, and comes again"


@pytest.mark.lesson("F-03")
def test_a_failed_disk_write_fails_the_run_and_the_next_run_completes_it(pipeline: "Pipeline") -> None:
    large = f"if data['page'] == 2: data['t'] = 'x' * {LARGEST_FILE}"
    pipeline.destination(buffer_size=0).config["transforms"] = [{"label": "large", "python": large}]
    assert "nothing was recorded: " in run_on_a_full_disk(pipeline)
    assert not (pipeline.folder / "out.json").exists()
    asked = len(pipeline.trace())
    pipeline.run()
    assert pipeline.trace()[asked] == "page 2"
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-04")
def test_an_output_that_the_disk_refuses_is_published_by_the_next_run(pipeline: "Pipeline") -> None:
    """The change fits, it and the old rows do not: success used to be stored, and it stayed in staging forever."""
    pipeline.source(sync_mode="incremental", item_bytes=LARGEST_FILE // 15).run()
    (pipeline.folder / "changes.txt").write_text(f"7 {datetime.now(UTC).isoformat()}\n")
    assert "was not replaced" in run_on_a_full_disk(pipeline)
    assert pipeline.ids() == EVERYTHING
    asked = len(pipeline.trace())
    pipeline.run()
    assert pipeline.trace()[asked:] == []
    assert pipeline.ids() == [*EVERYTHING, 7]
    assert pipeline.jobs()[-1] == ("succeeded", None)


@pytest.mark.lesson("F-08")
def test_a_frozen_and_superseded_run_commits_nothing(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    """A laptop that slept, a container that was paused: it wakes up while another run is processing its job."""
    pipeline.set("engine.runner.config.lease_ttl", 1)
    frozen = pipeline.destination(buffer_size=0).source(delay=1).start("--runner", "stream")
    wait_for(lambda: pipeline.trace() == ["page 0", "page 1"])
    os.killpg(frozen.pid, signal.SIGSTOP)
    pipeline.source(delay=30)
    others: list[subprocess.Popen[str]] = []

    def is_overtaken() -> bool:
        others.append(pipeline.start("--runner", "stream"))
        wait_for(lambda: others[-1].poll() is not None or len(pipeline.trace()) > 2)
        return others[-1].poll() is None

    try:
        wait_for(is_overtaken)
        os.killpg(frozen.pid, signal.SIGCONT)
        output, _ = frozen.communicate(timeout=30)
        assert committed_pages(pipeline) == [(0, 0)]
    finally:
        for run in (frozen, *others):
            kill_group(run)
            run.communicate(timeout=30)
    assert frozen.returncode == 1, output
    assert "taken over by another run" in output
    pipeline.source(delay=None).run()
    assert pipeline.trace()[2:] == ["page 1", "page 1", "page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING
