"""The crash matrix with partitions: several producers, killed and frozen, resumed, stopped and started differently; at
the end every record is there once.
"""

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_kit import FORMATS, Rig
from e2e.crash.test_crash_matrix import finish
from e2e.crash.test_freeze_matrix import ends_by_itself, frozen_at

PAGES, PARTITIONS, PRODUCERS = 12, 5, 3
POINTS = [
    "after_prepare",
    "after_write:2",
    "after_cursor:1",
    "after_cursor:5",
    "after_cursor:11",
    "after_verify",
    "before_replace",
    "after_replace",
    "before_success",
    "random:7",
    "random:19",
]
CASES = [("thread", format, point) for format in FORMATS for point in POINTS]
CASES += [("process", "parquet", point) for point in ("after_write:4", "after_cursor:6", "before_replace", "random:13")]


def rig_of(folder: Path, runner: str = "thread", format: str = "json", **source: Any) -> Rig:
    """A pipeline whose stream has partitions of two or three pages, and a batch for each page."""
    rig = Rig(folder, "full_refresh", format, runner, **{"pages": PAGES, "partitions": PARTITIONS, **source})
    rig.producers = PRODUCERS
    return rig


def query(rig: Rig, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(rig.folder / "state.sqlite3")) as state:
        return state.execute(statement).fetchall()


def is_contiguous(rig: Rig) -> bool:
    """Whether the pages of each job were committed in order, each once."""
    found = query(
        rig, "SELECT job_id, from_source_iteration, to_source_iteration FROM destination_cursors ORDER BY 1, 2"
    )
    pages: dict[str, list[int]] = {}
    for job_id, first, last in found:
        pages.setdefault(job_id, []).extend(range(first, last + 1))
    return all(each == list(range(len(each))) for each in pages.values())


def fetched(rig: Rig) -> list[int]:
    """The pages that were asked for, in all runs."""
    lines = (rig.folder / "trace.txt").read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("asked")]


@pytest.mark.matrix(share=16)
@pytest.mark.parametrize(("runner", "format", "point"), CASES)
def test_a_run_with_partitions_that_dies_is_finished_by_the_next(
    tmp_path: Path, runner: str, format: str, point: str
) -> None:
    rig = rig_of(tmp_path, runner, format)
    assert rig.run(point) == -signal.SIGKILL, rig.log()
    assert rig.rows() in (None, rig.expected()), "all of it or nothing is published"
    finish(rig)
    assert is_contiguous(rig)
    assert query(rig, "SELECT count(*) FROM stream_jobs") == [(1,)]


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("point", ["after_prepare", "after_write:2", "after_cursor:5", "before_finalize"])
def test_a_run_with_partitions_that_is_frozen_past_its_lease_changes_nothing_any_more(
    tmp_path: Path, point: str
) -> None:
    rig = rig_of(tmp_path)
    with frozen_at(rig, point) as frozen:
        assert rig.run() == 0, rig.log()
        assert ends_by_itself(frozen) == 1, rig.log()
    assert rig.rows() == rig.expected()
    assert is_contiguous(rig)


def test_each_partition_continues_where_it_was_whatever_the_source_would_plan_now(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    assert rig.run("after_cursor:6") == -signal.SIGKILL
    (pagination,) = query(rig, "SELECT pagination FROM destination_cursors ORDER BY to_source_iteration DESC LIMIT 1")[
        0
    ]
    (rig.folder / "trace.txt").unlink()
    rig.source["partitions"] = 2
    finish(rig)
    committed = 6
    assert len(fetched(rig)) == PAGES - committed, "no committed page is fetched again"
    assert json.loads(pagination)["bizon_partitions"]["left"] > 0
    assert query(rig, "SELECT count(*) FROM stream_partitions") == [(PARTITIONS,)]


@pytest.mark.parametrize("producers", [1, 8])
def test_another_number_of_producers_finishes_the_same_partitions(tmp_path: Path, producers: int) -> None:
    rig = rig_of(tmp_path)
    assert rig.run("after_cursor:4") == -signal.SIGKILL
    rig.producers = producers
    finish(rig)
    assert query(rig, "SELECT count(*) FROM stream_jobs") == [(1,)]
    assert is_contiguous(rig)


def test_a_runner_that_cannot_fetch_partitions_starts_a_new_job(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    assert rig.run("after_cursor:4") == -signal.SIGKILL
    rig.runner, rig.producers = "stream", 1
    assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.statuses() == ["cancelled", "succeeded"]
    assert "it was planned in partitions" in rig.log()


def test_a_producer_process_that_dies_ends_the_run_and_the_next_one_finishes(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "process", dies_at=8)
    assert rig.run() == 1, rig.log()
    assert "was killed by signal SIGKILL" in rig.log()
    assert rig.rows() is None
    finish(rig)
    assert is_contiguous(rig)


def test_a_stopped_run_leaves_every_partition_resumable(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, delay=0.1)
    with rig.started() as child:
        while not (rig.folder / "trace.txt").exists() or len(fetched(rig)) < PRODUCERS:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130, rig.log()
    assert rig.rows() is None
    finish(rig)
    assert is_contiguous(rig)
    assert sorted(fetched(rig)) == [*range(PAGES)], "what was fetched before the stop is committed"


def test_a_cap_bounds_the_pages_of_all_partitions_together(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, max_iterations=7)
    assert rig.run() == 0, rig.log()
    assert rig.rows() is None
    assert 0 < len(fetched(rig)) <= 7
    finish_capped(rig)
    assert sorted(fetched(rig)) == [*range(PAGES)]


def finish_capped(rig: Rig) -> None:
    """Run again until everything is published."""
    for _ in range(PAGES):
        if rig.rows() is not None:
            break
        assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
