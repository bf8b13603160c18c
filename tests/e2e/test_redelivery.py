"""Rows that are delivered again after a crash: torn ones are removed, and duplicates have the same key."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from e2e.faults import EVERYTHING, fault, finished

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process", "stream"]
FORMATS = ["json", "parquet"]
PAGE_SIZE = 5
WaitFor = Callable[[Callable[[], bool]], None]


def bizon_ids(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)["bizon_id"].to_list()
    return [json.loads(line)["bizon_id"] for line in path.read_text().splitlines()]


def ids_of_job(job_id: str, pages: int = 4) -> list[str]:
    """The ids of an uninterrupted run, see ``to_destination_frame``: job, page, occurrence, record."""
    return [f"{job_id[:16]}-{id_ // PAGE_SIZE}.0-{id_}" for id_ in range(pages * PAGE_SIZE)]


def job_of_output(pipeline: "Pipeline", name: str) -> str:
    return json.loads((pipeline.folder / ".bizon" / name / "manifest.json").read_text())["job_id"]


def die_between_write_and_checkpoint(pipeline: "Pipeline", page: int, runner: str) -> None:
    with fault(write=["ok"] * page + ["die"]):
        done = pipeline.run("--runner", runner, expect=None)
    assert done.returncode == 1 if runner == "process" else done.returncode == -signal.SIGKILL, done.stderr


def staged(pipeline: "Pipeline", page: int, format: str) -> Path:
    """The file that holds the rows of a page: all lines of a start are in one."""
    name = "000001.json" if format == "json" else f"{page:010d}-*"
    (part,) = (pipeline.folder / ".bizon").rglob(name)
    return part


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("format", FORMATS)
def test_ids_follow_from_job_page_and_record(pipeline: "Pipeline", format: str, runner: str) -> None:
    pipeline.destination(format=format).run("--runner", runner)
    name = f"out.{format}"
    assert bizon_ids(pipeline.folder / name) == ids_of_job(job_of_output(pipeline, name))


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_rewritten_batch_has_the_ids_of_the_first_write(pipeline: "Pipeline", format: str, runner: str) -> None:
    pipeline.destination(format=format, buffer_size=0)
    die_between_write_and_checkpoint(pipeline, 2, runner)
    first = bizon_ids(staged(pipeline, 2, format))[-PAGE_SIZE:]
    asked = len(pipeline.trace())
    pipeline.run("--runner", runner)
    name = f"out.{format}"
    assert pipeline.trace()[asked] == "page 2"
    assert first == ids_of_job(job_of_output(pipeline, name), pages=3)[2 * PAGE_SIZE :]
    assert bizon_ids(pipeline.folder / name) == ids_of_job(job_of_output(pipeline, name))


@pytest.mark.parametrize("runner", RUNNERS)
def test_pages_that_a_killed_run_had_spooled_keep_their_ids(
    pipeline: "Pipeline", runner: str, wait_for: WaitFor
) -> None:
    child = pipeline.source(delay=0.5).start("--runner", runner)
    wait_for(lambda: any(path.stat().st_size for path in (pipeline.folder / "state.spool").rglob("*.spool")))
    os.killpg(child.pid, signal.SIGKILL)
    finished(child)
    asked = len(pipeline.trace())
    pipeline.source(delay=None).run("--runner", runner)
    assert "page 0" not in pipeline.trace()[asked:]
    assert bizon_ids(pipeline.folder / "out.json") == ids_of_job(job_of_output(pipeline, "out.json"))


@pytest.mark.lesson("F-10")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_part_torn_by_a_crash_is_rewritten(pipeline: "Pipeline", format: str, runner: str) -> None:
    """Half a record used to stay, glued to the next one."""
    pipeline.destination(format=format, buffer_size=0)
    die_between_write_and_checkpoint(pipeline, 2, runner)
    part = staged(pipeline, 2, format)
    torn = part.read_bytes()[: -part.stat().st_size // 5]
    part.write_bytes(torn)
    part.with_name(f"{part.name}.tmp").write_bytes(torn)
    pipeline.run("--runner", runner)
    assert pipeline.ids(f"out.{format}") == EVERYTHING
    left = sorted(path.name for path in (pipeline.folder / ".bizon" / f"out.{format}").iterdir())
    assert left == ["lock", "manifest.json"]


@pytest.mark.lesson("F-10")
@pytest.mark.parametrize("torn", ["rows", "journal", "both"])
def test_rows_of_a_stream_torn_by_a_crash_are_cut_off(pipeline: "Pipeline", torn: str) -> None:
    pipeline.source(sync_mode="stream", max_iterations=4)
    die_between_write_and_checkpoint(pipeline, 2, "stream")
    assert pipeline.ids() == EVERYTHING[: 3 * PAGE_SIZE]
    output, journal = pipeline.folder / "out.json", pipeline.folder / ".bizon/out.json/journal"
    if torn != "journal":
        os.truncate(output, output.stat().st_size - 20)
    if torn != "rows":
        journal.write_bytes(journal.read_bytes() + journal.read_bytes().splitlines()[-1][:40])
    pipeline.run()
    assert pipeline.ids() == EVERYTHING[: 2 * PAGE_SIZE] + EVERYTHING, "two pages are committed, then a new start"
    assert len(set(bizon_ids(output))) == 2 * PAGE_SIZE + len(EVERYTHING)
