"""The freeze matrix: a run is stopped by SIGSTOP at a named point, for longer than its lease; another one takes over;
the first is thawed. It ends by itself, changes nothing any more, and every record is there once.

The points are described in ``crash_cli.py``.
"""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from e2e.crash.crash_kit import Build, Rig, freeze, is_frozen, kill_group, thaw

pytestmark = pytest.mark.matrix(share=18)

LEASE_TTL = 1.0  # seconds
LONGEST = 60.0  # seconds
WORKING = [
    "before_prepare",
    "before_claim",
    "after_claim",
    "after_announce",
    "after_prepare",
    "after_write:2",
    "after_receipt:2",
    "after_cursor:2",
    "after_verify",
    "before_finalize",
    "after_ready",
]
PUBLISHED = ["after_watermark", "before_success"]  # all is done, and it says so
# In the middle of a step that nobody else may see half of: the other run waits for its end.
LOCKED = ["after_seal", "after_publishing", "before_replace", "after_replace", "after_published", "discarding"]
LOCKED += ["after_discard:2"]
STREAM = ["before_prepare", "before_claim", "after_claim:2", "before_cut", "after_announce", "after_prepare"]
STREAM += ["after_write:2", "after_cursor:2"]
CASES = [("incremental", "json", "thread", point) for point in (*WORKING, *PUBLISHED)]
CASES += [("full_refresh", "parquet", "process", point) for point in (*WORKING[::3], "after_ready", PUBLISHED[0])]
CASES += [("stream", "json", "stream", point) for point in (*STREAM, "after_note", "appending")]
CASES += [("stream", "parquet", "stream", point) for point in (*STREAM[::3], "part_written:2", "after_write:2")]


@contextmanager
def frozen_at(rig: Rig, point: str) -> Iterator["subprocess.Popen[str]"]:
    """A run that stays frozen at the point for longer than its lease."""
    rig.lease_ttl = LEASE_TTL
    child = rig.start(f"{point}@frozen")
    try:
        until = time.monotonic() + LONGEST
        while not is_frozen(child):
            assert child.poll() is None, f"{point} was not passed\n{rig.log()}"
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(LEASE_TTL + 0.3)
        yield child
    finally:
        kill_group(child)


def ends_by_itself(child: "subprocess.Popen[str]") -> int:
    thaw(child)
    return child.wait(LONGEST)


def committed(rig: Rig) -> list[tuple[Any, ...]]:
    """The last committed page and the rows of each job in the state."""
    statement = (
        "SELECT job_id, max(to_source_iteration), sum(rows_written) FROM destination_cursors GROUP BY 1 ORDER BY 1"
    )
    with closing(sqlite3.connect(rig.folder / "state.sqlite3")) as state:
        return state.execute(statement).fetchall()


def finish(rig: Rig) -> None:
    """One more run, undisturbed, succeeds and leaves nothing behind."""
    assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []
    assert rig.is_stream or set(rig.statuses()) == {"succeeded"}
    assert "Traceback" not in rig.log()


@pytest.mark.lesson("F-08")
@pytest.mark.parametrize(("mode", "format", "runner", "point"), CASES)
def test_a_run_thawed_after_another_has_ended_changes_nothing(
    build: Build, mode: str, format: str, runner: str, point: str
) -> None:
    """In sync mode stream a start that woke up late used to cut off rows committed since."""
    rig = build(mode, format, runner)
    with frozen_at(rig, point) as frozen:
        assert rig.run() == 0, rig.log()
        assert rig.rows() == rig.expected()
        assert ends_by_itself(frozen) == (0 if point in PUBLISHED else 1), rig.log()
    assert rig.rows() == rig.expected()
    finish(rig)


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
@pytest.mark.parametrize("point", LOCKED)
def test_another_run_waits_for_a_run_frozen_in_a_step(build: Build, point: str, mode: str) -> None:
    rig = build(mode, "json", "thread")
    if point == "after_seal":
        assert rig.run("after_write:3") == -signal.SIGKILL
    with frozen_at(rig, point) as frozen:
        other = rig.start()
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(3 * LEASE_TTL)
            assert ends_by_itself(frozen) in (0, 1), rig.log()
            assert other.wait(LONGEST) in (0, 1), rig.log()
        finally:
            kill_group(other)
    finish(rig)


@pytest.mark.parametrize(
    ("point", "later"),
    [("after_prepare", None), ("after_write:2", "after_write"), ("after_verify", None), ("after_ready", None)],
)
def test_a_run_that_is_thawed_after_a_third_one_started_changes_nothing(
    build: Build, point: str, later: str | None
) -> None:
    """The run that took over is frozen too; both are thawed while the third is active, the later one first."""
    rig = build("incremental", "json", "thread")
    later = later or point
    with frozen_at(rig, point) as first, frozen_at(rig, later) as second, frozen_at(rig, later) as third:
        assert ends_by_itself(second) == 1, rig.log()
        assert ends_by_itself(first) == 1, rig.log()
        assert ends_by_itself(third) == 0, rig.log()
    assert rig.rows() == rig.expected()
    finish(rig)


@pytest.mark.lesson("F-08", "F-09")
@pytest.mark.parametrize(
    ("mode", "runner"), [("incremental", "thread"), ("full_refresh", "process"), ("stream", "stream")]
)
def test_a_frozen_write_is_not_committed_once_another_run_has_started(build: Build, mode: str, runner: str) -> None:
    """The other run removed its rows from staging and has not committed anything yet."""
    rig = build(mode, "json", runner)
    with frozen_at(rig, "after_write:2") as first, frozen_at(rig, "after_prepare") as second:
        before = committed(rig)
        assert ends_by_itself(first) == 1, rig.log()
        assert committed(rig) == before
        assert ends_by_itself(second) == 0, rig.log()
    assert rig.rows() == rig.expected()
    finish(rig)


def test_a_frozen_append_does_not_reach_the_file_when_the_next_start_dies_before_its_takeover(
    build: Build,
) -> None:
    """The start that died had recorded itself as active; the next one believed that nobody held the file open."""
    rig = build("stream", "json", "stream")
    with frozen_at(rig, "appending") as frozen:
        assert rig.run("before_cut") == -signal.SIGKILL, rig.log()
        assert rig.run() == 0, rig.log()
        assert rig.rows() == rig.expected()
        assert ends_by_itself(frozen) == 1, rig.log()
    assert rig.rows() == rig.expected()
    finish(rig)


def test_a_run_with_another_state_waits_for_the_active_run_to_end(build: Build) -> None:
    """Two runs that did not know each other used to replace each other's rows."""
    rig = build("full_refresh", "json", "thread")
    with frozen_at(rig, "after_write:2") as working:
        rig.state = None
        assert rig.run() == 1
        assert "whose job the state of this run does not know" in rig.log()
        assert ends_by_itself(working) == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.run() == 0, rig.log()
    assert rig.leftovers() == []


def test_a_stream_that_is_superseded_in_a_pause_ends(build: Build) -> None:
    """It waits for its source, and has nothing to write that a fence could refuse."""
    rig = build("stream", "json", "stream")
    rig.source["max_iterations"] = None
    rig.lease_ttl = LEASE_TTL
    with rig.started() as waiting:
        until = time.monotonic() + LONGEST
        while len(rig.rows() or []) < len(rig.expected()) and time.monotonic() < until:
            time.sleep(0.05)
        freeze(waiting)
        time.sleep(LEASE_TTL + 0.3)
        rig.source["max_iterations"] = 3
        assert rig.run() == 0, rig.log()
        assert ends_by_itself(waiting) == 1, rig.log()
    finish(rig)
