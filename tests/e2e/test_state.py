"""The state in the user's hands: status, reset, a fresh start, and an output whose state was lost."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import commands
import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

EVERYTHING = list(range(20))
WaitFor = Callable[[Callable[[], bool]], None]


def bizon(pipeline: "Pipeline", *args: str, expect: int = 0) -> str:
    """Another command on the same config."""
    assert pipeline.command
    done = commands.run([*commands.BIZON, *args], cwd=pipeline.folder, capture_output=True, text=True)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def status(pipeline: "Pipeline") -> dict[str, Any]:
    return json.loads(bizon(pipeline, "status", "config.yml", "--json"))


def change(pipeline: "Pipeline", *ids: int) -> None:
    with (pipeline.folder / "changes.txt").open("a") as changes:
        changes.writelines(f"{id_} {datetime.now(UTC).isoformat()}\n" for id_ in ids)


def lose_state(pipeline: "Pipeline") -> None:
    for path in pipeline.folder.glob("state.sqlite3*"):
        path.unlink()


def test_status_before_the_first_run_creates_nothing(pipeline: "Pipeline") -> None:
    assert "State: no run yet" in bizon(pipeline, "status", "config.yml")
    assert [path.name for path in pipeline.folder.iterdir()] == ["config.yml"]


def test_status_of_a_finished_job(pipeline: "Pipeline") -> None:
    pipeline.run()
    found = status(pipeline)
    assert found["state"] == "succeeded"
    assert (found["rows_written"], found["total_records"], found["last_iteration"], found["starts"]) == (20, 20, 3, 1)
    assert found["lease"] is None
    assert "Records: 20 of 20 committed" in bizon(pipeline, "status", "config.yml")


def test_status_of_a_failed_job_says_why_and_where_it_resumes(pipeline: "Pipeline") -> None:
    pipeline.source(fail_at=2).run(expect=1)
    text = bizon(pipeline, "status", "config.yml", expect=1)
    assert "State: failed" in text
    assert 'Checkpoint: iteration 1, continues at {"page": 2}' in text
    assert "Error: stream 'items.items', iteration 2: RuntimeError: the API is down" in text


def test_status_shows_an_active_run_and_then_that_it_was_killed(pipeline: "Pipeline", wait_for: WaitFor) -> None:
    child = pipeline.source(delay=30).start()
    wait_for(lambda: len(pipeline.trace()) >= 1)
    lease = status(pipeline)["lease"]
    assert (lease["pid"], lease["alive"]) == (child.pid, True)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)
    text = bizon(pipeline, "status", "config.yml", expect=1)
    assert "State: running, but its run is gone: run again to resume" in text
    assert f"Lease: left behind by process {child.pid}" in text


@pytest.mark.lesson("F-27")
def test_a_secret_in_an_error_is_not_stored(pipeline: "Pipeline") -> None:
    pipeline.source(authentication={"type": "api_key", "params": {"token": "s3cr3t-token"}})
    pipeline.config["transforms"] = [{"label": "bad", "python": "raise ValueError('refused s3cr3t-token')"}]
    pipeline.run(expect=1)
    ((state, error),) = pipeline.jobs()
    assert state == "failed"
    assert error is not None
    assert "refused **********" in error
    assert "s3cr3t" not in bizon(pipeline, "status", "config.yml", expect=1)


def test_a_reset_fetches_everything_and_replaces_an_incremental_output_once(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="incremental").run()
    change(pipeline, 3)
    pipeline.run()
    assert pipeline.ids() == [*EVERYTHING, 3]
    assert "fetches all of items.items again" in bizon(pipeline, "stream", "reset", "config.yml")
    assert status(pipeline)["reset_pending"]
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
    assert not status(pipeline)["reset_pending"]
    change(pipeline, 5)
    pipeline.run()
    assert pipeline.ids() == [*EVERYTHING, 5], "the reset is the watermark of the next run, which appends again"


def test_a_reset_that_is_killed_is_resumed_as_a_reset(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="incremental").destination(buffer_size=0).run()
    bizon(pipeline, "stream", "reset", "config.yml")
    pipeline.source(kill_at=2, delay=1)  # seconds, in which a busy machine commits a page
    assert pipeline.run(expect=None).returncode == -signal.SIGKILL
    assert pipeline.ids() == EVERYTHING
    asked = len(pipeline.trace())
    pipeline.source(kill_at=None, delay=None).run()
    assert pipeline.trace()[asked:] == ["page 2", "page 3"]
    assert pipeline.ids() == EVERYTHING


def test_a_reset_has_no_meaning_for_a_stream(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="stream")
    assert "nothing to reset" in bizon(pipeline, "stream", "reset", "config.yml", expect=2)


def test_a_fresh_run_starts_from_the_first_page(pipeline: "Pipeline") -> None:
    pipeline.source(fail_at=2).run(expect=1)
    asked = len(pipeline.trace())
    pipeline.source(fail_at=None).run("--fresh")
    assert pipeline.trace()[asked:] == [f"page {page}" for page in range(4)]
    assert pipeline.ids() == EVERYTHING
    assert [state for state, _ in pipeline.jobs()] == ["cancelled", "succeeded"]


@pytest.mark.parametrize(("flag", "after"), [("--fresh", EVERYTHING), ("--adopt", EVERYTHING * 2)])
def test_an_output_whose_state_was_lost_is_not_appended_to_unasked(
    pipeline: "Pipeline", flag: str, after: list[int]
) -> None:
    """Used to append everything again."""
    pipeline.source(sync_mode="incremental").run()
    lose_state(pipeline)
    for _ in range(2):
        refused = pipeline.run(expect=1)
        assert "its state knows of no run" in refused.stderr
        assert "--fresh to replace" in refused.stderr
        assert "--adopt to append" in refused.stderr
        assert pipeline.ids() == EVERYTHING
    pipeline.run(flag)
    assert pipeline.ids() == after
    change(pipeline, 4)
    pipeline.run()
    assert pipeline.ids() == [*after, 4]


def test_a_full_refresh_replaces_its_output_whether_the_state_was_lost_or_not(pipeline: "Pipeline") -> None:
    pipeline.run()
    lose_state(pipeline)
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
