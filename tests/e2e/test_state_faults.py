"""A state file that another process has locked, and a clock that is set back."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from e2e.faults import EVERYTHING, assert_clear_failure, fault, finished, locked, noted, release

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process"]
COMMIT = "create_destination_cursor"
LOCKED = "the state in 'state.sqlite3' cannot be used: database is locked"
AN_HOUR_BACK = -3600  # seconds
WaitFor = Callable[[Callable[[], bool]], None]


@pytest.fixture
def second(pipeline: "Pipeline") -> "Pipeline":
    """A pipeline that has published one page; its second run has four, each a batch of its own."""
    pipeline.destination(buffer_size=0).source(pages=1).run()
    (pipeline.folder / "trace.txt").unlink()
    return pipeline.source(pages=4)


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_run_waits_for_a_state_that_is_locked_at_the_start(
    second: "Pipeline", wait_for: WaitFor, runner: str
) -> None:
    with fault(hold={"acquire_lease": 1}):
        child = second.start("--runner", runner)
    wait_for(lambda: noted(second, "acquire_lease") != [])
    with locked(second.folder / "state.sqlite3"):
        release(second, "acquire_lease")
        with pytest.raises(AssertionError, match="waited in vain"):
            wait_for(lambda: second.trace() != [], seconds=0.5)
    assert finished(child).returncode == 0
    assert second.ids() == EVERYTHING


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_state_that_stays_locked_is_named_before_anything_is_fetched(second: "Pipeline", runner: str) -> None:
    old = (second.folder / "out.json").read_bytes()
    with locked(second.folder / "state.sqlite3"), fault(busy_timeout=0.2):
        assert_clear_failure(second.run("--runner", runner, expect=1), LOCKED)
    assert (second.folder / "out.json").read_bytes() == old
    assert second.trace() == []
    second.run("--runner", runner)
    assert second.ids() == EVERYTHING


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_commit_waits_for_a_locked_state(second: "Pipeline", wait_for: WaitFor, runner: str) -> None:
    with fault(hold={COMMIT: 2}):
        child = second.start("--runner", runner)
    wait_for(lambda: noted(second, COMMIT) != [])
    with locked(second.folder / "state.sqlite3"):
        release(second, COMMIT)
        with pytest.raises(AssertionError, match="waited in vain"):
            wait_for(lambda: child.poll() is not None, seconds=0.5)
    assert finished(child).returncode == 0
    assert second.ids() == EVERYTHING


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_state_that_is_locked_in_the_middle_stops_the_run_and_the_next_one_resumes(
    second: "Pipeline", wait_for: WaitFor, runner: str
) -> None:
    old = (second.folder / "out.json").read_bytes()
    with fault(hold={COMMIT: 3}, busy_timeout=0.2):
        child = second.start("--runner", runner)
    wait_for(lambda: noted(second, COMMIT) != [])
    with locked(second.folder / "state.sqlite3"):
        release(second, COMMIT)
        assert_clear_failure(finished(child), LOCKED)
    assert (second.folder / "out.json").read_bytes() == old
    asked = len(second.trace())
    assert "at iteration 2" in second.run("--runner", runner).stderr
    assert second.trace()[asked:] == ["page 2", "page 3"]
    assert second.ids() == EVERYTHING


@pytest.mark.lesson("F-06")
@pytest.mark.parametrize("runner", RUNNERS)
def test_an_incremental_run_an_hour_before_the_last_one_loses_and_repeats_nothing(
    pipeline: "Pipeline", runner: str
) -> None:
    pipeline.source(sync_mode="incremental").run("--runner", runner)
    change(pipeline, 3)
    with fault(clock=AN_HOUR_BACK):
        pipeline.run("--runner", runner)
        assert pipeline.ids() == [*EVERYTHING, 3]
        pipeline.run("--runner", runner)
    change(pipeline, 5)
    pipeline.run("--runner", runner)
    assert set(pipeline.ids()) == set(EVERYTHING)
    assert pipeline.ids()[-1] == 5
    asked = [line for line in pipeline.trace() if line.startswith("after")]
    assert asked == sorted(asked), "the newest job is the last one, whatever the clock says"
    assert len(set(asked)) == 3


@pytest.mark.lesson("F-09")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_run_that_was_killed_is_resumed_an_hour_before_it_began(
    second: "Pipeline", wait_for: WaitFor, runner: str
) -> None:
    with fault(hold={COMMIT: 3}):
        child = second.start("--runner", runner)
    wait_for(lambda: noted(second, COMMIT) != [])
    os.killpg(child.pid, signal.SIGKILL)
    finished(child)
    asked = len(second.trace())
    with fault(clock=AN_HOUR_BACK):
        resumed = second.run("--runner", runner)
    assert "at iteration 2" in resumed.stderr
    assert second.trace()[asked:] == ["page 2", "page 3"]
    assert second.ids() == EVERYTHING
    assert [status for status, _ in second.jobs()] == ["succeeded", "succeeded"]


def change(pipeline: "Pipeline", id_: int) -> None:
    """A record changes now, by the clock of the source."""
    with (pipeline.folder / "changes.txt").open("a") as changes:
        changes.write(f"{id_} {(datetime.now(UTC) + timedelta(microseconds=1)).isoformat()}\n")
