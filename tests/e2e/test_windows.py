"""A window of the past and a full refresh, in a pipeline whose runs fetch new records."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="windows")

RUNNERS = ["thread", "process", "stream"]
EVERYTHING = list(range(20))
CHANGES = {7: "2020-01-10T00:00:00+00:00", 8: "2020-01-20T00:00:00+00:00", 9: "2020-02-01T00:00:00+00:00"}
JANUARY = ("--since", "2020-01-01", "--until", "2020-02-01")


@pytest.fixture
def loaded(pipeline: "Pipeline") -> "Pipeline":
    """One run has loaded everything, and another found nothing new."""
    lines = [f"{number} {moment}" for number, moment in CHANGES.items()]
    (pipeline.folder / "changes.txt").write_text("\n".join(lines))
    pipeline.source(sync_mode="incremental", bounded=True, paged_changes=True)
    pipeline.destination(buffer_size=0)
    pipeline.run()
    pipeline.run()
    assert pipeline.ids() == EVERYTHING
    return pipeline


def begin_of_the_next(pipeline: "Pipeline") -> str:
    """The start of the window of a run that fetches new records."""
    pipeline.run()
    return pipeline.trace()[-1]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_window_is_added_and_the_watermark_stays(loaded: "Pipeline", runner: str) -> None:
    watermark = json.loads(loaded.bizon("status", "config.yml", "--json").stdout)["created_at"]
    loaded.run("--runner", runner, *JANUARY)
    assert loaded.trace()[-1] == "after 2020-01-01T00:00:00+00:00"
    assert loaded.ids() == [*EVERYTHING, 7, 8]
    assert begin_of_the_next(loaded) == f"after {watermark.replace(' ', 'T')}"
    assert loaded.ids() == [*EVERYTHING, 7, 8]


def test_a_window_without_an_end_goes_up_to_the_watermark(loaded: "Pipeline") -> None:
    loaded.run("--since", "2020-01-15T00:00:00Z")
    assert loaded.ids() == [*EVERYTHING, 8, 9]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_window_that_failed_is_resumed_by_a_run_with_the_same_one(loaded: "Pipeline", runner: str) -> None:
    failed = loaded.source(fail_at=1).run("--runner", runner, *JANUARY, expect=1)
    assert "the API is down" in failed.stderr
    assert loaded.ids() == EVERYTHING
    assert "State: failed" in loaded.bizon("status", "config.yml", expect=1).stdout
    resumed = loaded.source(fail_at=None).run("--runner", runner, *JANUARY)
    assert "at iteration 1" in resumed.stderr
    assert loaded.ids() == [*EVERYTHING, 7, 8]


def test_a_run_without_a_window_cancels_one_that_failed(loaded: "Pipeline") -> None:
    loaded.source(fail_at=1).run(*JANUARY, expect=1)
    after = loaded.source(fail_at=None).run()
    assert "is cancelled: it fetches a window of the past" in after.stderr
    assert loaded.ids() == EVERYTHING
    loaded.run(*JANUARY)
    assert loaded.ids() == [*EVERYTHING, 7, 8]


def test_another_window_cancels_one_that_failed(loaded: "Pipeline") -> None:
    loaded.source(fail_at=1).run(*JANUARY, expect=1)
    other = loaded.source(fail_at=None).run("--since", "2020-02-01", "--until", "2020-03-01")
    assert "is cancelled: it fetches another window" in other.stderr
    assert loaded.ids() == [*EVERYTHING, 9]


def test_windows_and_runs_alternate(loaded: "Pipeline") -> None:
    """Each knows the output as it was left by the other."""
    for _ in range(2):
        loaded.run(*JANUARY)
        loaded.run()
    assert loaded.ids() == [*EVERYTHING, 7, 8, 7, 8]


def test_an_unfinished_job_is_finished_before_a_window(loaded: "Pipeline") -> None:
    (loaded.folder / "changes.txt").write_text("1 2999-01-01T00:00:00+00:00\n2 2999-01-01T00:00:00+00:00")
    loaded.source(fail_at=1, bounded=False).run(expect=1)
    refused = loaded.source(fail_at=None).run(*JANUARY, expect=2)
    assert "is unfinished; run without --since first" in refused.stderr
    loaded.run()
    assert loaded.ids() == [*EVERYTHING, 1, 2]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--since", "yesterday"), "--since yesterday: not a date or a time"),
        (("--until", "2020-01-01"), "--until needs --since"),
        (("--since", "2020-02-01", "--until", "2020-01-01"), "is not before --until"),
        (("--since", "2999-01-01"), "is not before the watermark"),
        (("--since", "2020-01-01", "--full-refresh"), "give one of them"),
    ],
)
def test_a_window_that_makes_no_sense_is_a_mistake(loaded: "Pipeline", flags: tuple[str, ...], told: str) -> None:
    jobs = loaded.jobs()
    assert told in loaded.run(*flags, expect=2).stderr
    assert loaded.jobs() == jobs


def test_a_window_needs_a_watermark_and_a_sync_mode_that_has_one(pipeline: "Pipeline") -> None:
    assert "needs sync_mode incremental" in pipeline.run(*JANUARY, expect=2).stderr
    pipeline.source(sync_mode="incremental")
    assert "the next run without it fetches everything" in pipeline.run(*JANUARY, expect=2).stderr
    assert pipeline.jobs() == []


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_full_refresh_replaces_the_output_and_the_next_run_resumes_after_it(loaded: "Pipeline", runner: str) -> None:
    loaded.run(*JANUARY)
    loaded.run("--runner", runner, "--full-refresh")
    assert loaded.ids() == EVERYTHING
    created = json.loads(loaded.bizon("status", "config.yml", "--json").stdout)["created_at"]
    assert begin_of_the_next(loaded) == f"after {created.replace(' ', 'T')}"
    assert loaded.ids() == EVERYTHING


def test_a_full_refresh_is_resumed_by_the_same_command(loaded: "Pipeline") -> None:
    loaded.source(fail_at=2).run("--full-refresh", expect=1)
    assert loaded.ids() == EVERYTHING
    resumed = loaded.source(fail_at=None).run("--full-refresh")
    assert "at iteration 2" in resumed.stderr
    assert loaded.ids() == EVERYTHING


def test_a_job_that_a_full_refresh_replaces_is_cancelled_for_this_reason(pipeline: "Pipeline") -> None:
    pipeline.source(sync_mode="incremental", fail_at=2).run(expect=1)
    done = pipeline.source(fail_at=None).run("--full-refresh")
    assert "a full refresh was requested" in done.stderr
    assert "(incremental, loads everything and replaces the output)" in done.stderr


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_fresh_says_when_there_was_nothing_to_discard(pipeline: "Pipeline", mode: str) -> None:
    pipeline.source(sync_mode=mode).run()
    fresh = pipeline.run("--fresh")
    assert "There was no unfinished job to discard" in fresh.stderr
    assert ("--full-refresh" in fresh.stderr) is (mode == "incremental")
    pipeline.source(fail_at=1).run(expect=None)
    if mode == "full_refresh":
        assert "nothing to discard" not in pipeline.source(fail_at=None).run("--fresh").stderr
