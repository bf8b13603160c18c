"""A disk that is full or read-only: a clear error, the old output unchanged, and the next run finishes the job."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import pytest
from e2e.faults import EVERYTHING, Mount, assert_clear_failure, fault, finished, noted, read_only, release, small_disk

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=14, pool="disks")

RUNNERS = ["thread", "process"]
FORMATS = ["json", "parquet"]
FULL, STATE_FULL = "No space left on device", "database or disk is full"
COMMIT = "create_destination_cursor"
DATABASE = "engine.backend.config.database"
PAGE = 500_000  # bytes of a page as NDJSON; random hex digits, so at least half of it as Parquet
WaitFor = Callable[[Callable[[], bool]], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mount]:
    with small_disk(tmp_path / "disk", megabytes=8) as mount:
        yield mount


@pytest.fixture
def large(pipeline: "Pipeline") -> "Pipeline":
    """Four pages of half a megabyte each, which do not compress well."""
    pipeline.config["transforms"] = [
        {"label": "fill", "python": f"import os; data['t'] = os.urandom({PAGE // 10}).hex()"}
    ]
    return pipeline.destination(buffer_size=0)


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_disk_that_is_full_while_staging_keeps_the_checkpoint_and_the_old_output(
    large: "Pipeline", disk: Mount, format: str, runner: str
) -> None:
    large.destination(destination_id="disk/out", format=format).source(pages=1)
    disk.run(large, "--runner", runner)
    old = (disk.outside / f"out.{format}").read_bytes()
    large.source(pages=4)
    disk.fill(leaving=PAGE + PAGE // 5)
    failed = disk.run(large, "--runner", runner, expect=1)
    assert_clear_failure(failed, FULL)
    assert "nothing was recorded" in failed.stderr
    assert (disk.outside / f"out.{format}").read_bytes() == old
    assert large.jobs()[-1][0] == "failed"
    disk.make_room()
    resumed = disk.run(large, "--runner", runner)
    assert "Resuming job" in resumed.stderr
    assert large.ids(str(disk.outside / f"out.{format}")) == EVERYTHING


@pytest.mark.lesson("F-04")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("sync_mode", "format"), [("incremental", "json"), ("full_refresh", "parquet"), ("incremental", "parquet")]
)
def test_a_disk_without_room_for_both_outputs_publishes_later_without_fetching(
    large: "Pipeline", disk: Mount, sync_mode: str, format: str, runner: str
) -> None:
    large.destination(destination_id="disk/out", format=format).source(sync_mode=sync_mode)
    disk.run(large, "--runner", runner)
    old = (disk.outside / f"out.{format}").read_bytes()
    (large.folder / "changes.txt").write_text(f"3 {datetime.now(UTC).isoformat()}")
    staged = len(old) if sync_mode == "full_refresh" else len(old) // 20
    disk.fill(leaving=staged + len(old) // 2)
    failed = disk.run(large, "--runner", runner, expect=1)
    assert_clear_failure(failed, FULL)
    assert "run again to publish" in failed.stderr
    assert (disk.outside / f"out.{format}").read_bytes() == old
    assert large.jobs()[-1][0] == "failed"
    disk.make_room()
    asked = large.trace()
    assert "publishing" in disk.run(large, "--runner", runner).stderr
    assert large.trace() == asked
    assert large.ids(str(disk.outside / f"out.{format}")) == EVERYTHING + [3] * (sync_mode == "incremental")


@pytest.mark.parametrize("room", [PAGE // 20, PAGE * 3])
def test_a_full_disk_under_a_duckdb_file_keeps_the_table_and_the_run_resumes(
    large: "Pipeline", disk: Mount, room: int
) -> None:
    config = {"database": "disk/warehouse.duckdb", "destination_id": "items", "buffer_size": 0}
    large.set("destination", {"name": "duckdb", "config": config})
    disk.run(large.source(pages=1))
    assert numbers(disk) == EVERYTHING[:5]
    disk.fill(leaving=room)
    failed = disk.run(large.source(pages=4), expect=1)
    assert_clear_failure(failed, "warehouse.duckdb: ")
    assert FULL in failed.stderr
    assert "Traceback" not in failed.stdout
    assert numbers(disk) == EVERYTHING[:5]
    disk.make_room()
    assert ("Resuming job" in disk.run(large).stderr) is (room > PAGE), "it resumes from the checkpoint of a page"
    assert numbers(disk) == EVERYTHING


def numbers(disk: Mount) -> list[int]:
    """The ids of the items in the DuckDB file. DuckDB does not find its way into the mount, so it reads a copy."""
    with TemporaryDirectory() as folder:
        for path in disk.outside.glob("warehouse.duckdb*"):
            shutil.copy(path, folder)
        with duckdb.connect(f"{folder}/warehouse.duckdb") as connection:
            found = connection.execute("SELECT _source_record_id FROM items").fetchall()
    return sorted(int(id_) for (id_,) in found)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_first_run_without_room_for_its_state_fetches_nothing(pipeline: "Pipeline", disk: Mount, runner: str) -> None:
    pipeline.set(DATABASE, "disk/state")
    disk.fill()
    failed = disk.run(pipeline, "--runner", runner, expect=1)
    assert_clear_failure(failed, f"the state in 'disk/state.sqlite3' cannot be used: {STATE_FULL}")
    assert pipeline.trace() == []
    disk.make_room()
    disk.run(pipeline, "--runner", runner)
    assert pipeline.ids() == EVERYTHING


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_disk_that_fills_up_under_the_state_stops_the_run_and_the_next_one_resumes(
    pipeline: "Pipeline", disk: Mount, wait_for: WaitFor, runner: str
) -> None:
    pipeline.set(DATABASE, "disk/state").destination(buffer_size=0)
    disk.run(pipeline.source(pages=1), "--runner", runner)
    old = (pipeline.folder / "out.json").read_bytes()
    with fault(hold={COMMIT: 3}):
        child = disk.start(pipeline.source(pages=4), "--runner", runner)
    wait_for(lambda: noted(pipeline, COMMIT) != [])
    disk.fill()
    release(pipeline, COMMIT)
    failed = finished(child)
    assert_clear_failure(failed, "the state in 'disk/state.sqlite3' cannot be used: ")
    assert "disk is full" in failed.stderr
    assert (pipeline.folder / "out.json").read_bytes() == old
    disk.make_room()
    assert "at iteration 2" in disk.run(pipeline, "--runner", runner).stderr
    assert pipeline.ids() == EVERYTHING


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_full_disk_ends_only_the_spooling(pipeline: "Pipeline", tmp_path: Path, runner: str) -> None:
    with small_disk(tmp_path / "state.spool", megabytes=1) as disk:
        disk.fill()
        pipeline.source(delay=0.9)
        done = disk.run(pipeline, "--runner", runner)
        assert "waiting pages are no longer spooled to disk" in done.stderr
    assert pipeline.ids() == EVERYTHING
    assert len(pipeline.trace()) == 4


@pytest.mark.lesson("F-03")
@pytest.mark.parametrize("runner", RUNNERS)
def test_an_output_folder_that_is_read_only_is_named_before_anything_is_fetched(
    pipeline: "Pipeline", runner: str
) -> None:
    pipeline.destination(destination_id="exports/out").source(pages=1).run()
    old, asked = (pipeline.folder / "exports/out.json").read_bytes(), pipeline.trace()
    with read_only(pipeline.folder / "exports") as mount:
        failed = mount.run(pipeline.source(pages=4), "--runner", runner, expect=1)
    assert_clear_failure(
        failed, f"{pipeline.folder}/exports/out.json' cannot be written: [Errno 30] Read-only file system"
    )
    assert (pipeline.folder / "exports/out.json").read_bytes() == old
    assert pipeline.trace() == asked
    pipeline.run("--runner", runner)
    assert pipeline.ids("exports/out.json") == EVERYTHING


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_state_folder_that_is_read_only_is_named_before_anything_is_fetched(
    pipeline: "Pipeline", runner: str
) -> None:
    pipeline.set(DATABASE, "states/state").source(pages=1).run()
    old, asked = (pipeline.folder / "out.json").read_bytes(), pipeline.trace()
    with read_only(pipeline.folder / "states") as mount:
        failed = mount.run(pipeline.source(pages=4), "--runner", runner, expect=1)
    assert_clear_failure(failed, "the state in 'states/state.sqlite3' cannot be used: ")
    assert (pipeline.folder / "out.json").read_bytes() == old
    assert pipeline.trace() == asked
    pipeline.run("--runner", runner)
    assert pipeline.ids() == EVERYTHING


def test_a_folder_whose_mode_forbids_writing_is_named_before_anything_is_fetched(pipeline: "Pipeline") -> None:
    (pipeline.folder / "exports").mkdir(mode=0o555)
    pipeline.destination(destination_id="exports/out")
    without_roots_right = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    failed = subprocess.run(
        [*without_roots_right, *pipeline.command],
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert failed.returncode == 1
    assert_clear_failure(failed, "exports/out.json' cannot be written: [Errno 13] Permission denied")
    assert pipeline.trace() == []
    (pipeline.folder / "exports").chmod(0o755)
    pipeline.run()
    assert pipeline.ids("exports/out.json") == EVERYTHING
