"""The job of a run, where the run starts, and how its job ends: the table in ``engine/runner/jobs.py``."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, JobStatus, StreamJob
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.jobs import OpenedJob, close_job, open_job
from bizon.engine.runner.models import RunnerStatus
from bizon.source.models import RESTARTS

SUCCESS, SOURCE_ERROR = PipelineReturnStatus.SUCCESS, PipelineReturnStatus.SOURCE_ERROR


@pytest.fixture
def backend() -> AbstractBackend:
    return memory_backend()


def commit(backend: AbstractBackend, job: StreamJob, last: int, pagination: dict[str, Any], rows: int = 5) -> None:
    backend.create_destination_cursor(CommitRecord(job.id, job.attempt + 1, KEY, "file", 0, last, rows, pagination))


def end(backend: AbstractBackend, opened: OpenedJob, **status: Any) -> JobStatus:
    values = {"producer": SUCCESS, "consumer": SUCCESS, **status}
    close_job(backend, opened, RunnerStatus(opened.job.id, **values))
    job = backend.get_stream_job_by_id(opened.job.id)
    assert job is not None
    return job.status


def test_the_first_run_creates_a_job_and_marks_it_running(backend: AbstractBackend) -> None:
    opened = open_job(backend, pipeline())
    assert opened.run.resume.last_iteration is None
    assert opened.run.resume.next_iteration == 0
    assert opened.run.epoch == 1
    job = backend.get_stream_job_by_id(opened.job.id)
    assert job is not None
    assert job.status is JobStatus.RUNNING


@pytest.mark.parametrize("left_as", [JobStatus.STARTED, JobStatus.RUNNING, JobStatus.FAILED])
def test_an_unfinished_job_is_resumed_after_its_last_cursor(backend: AbstractBackend, left_as: JobStatus) -> None:
    first = open_job(backend, pipeline())
    commit(backend, first.job, 3, {"page": 4, "more": True})
    backend.update_stream_job_status(first.job.id, left_as)
    again = open_job(backend, pipeline())
    assert again.job.id == first.job.id
    assert again.run.epoch == 2
    assert again.run.resume.next_iteration == 4
    assert again.run.resume.pagination == {"page": 4, "more": True}
    assert again.run.resume.rows_written == 5
    assert not again.run.resume.exhausted


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_job_that_only_its_own_run_could_continue_starts_over(backend: AbstractBackend, mode: str) -> None:
    config = pipeline(sync_mode=mode)
    first = open_job(backend, config)
    commit(backend, first.job, 3, {"row": 20, RESTARTS: True})
    again = open_job(backend, config)
    assert again.job.id != first.job.id
    assert again.run.resume.last_iteration is None
    cancelled = backend.get_stream_job_by_id(first.job.id)
    assert cancelled is not None
    assert cancelled.status is JobStatus.CANCELED
    commit(backend, again.job, 4, {})
    assert open_job(backend, config).run.resume.exhausted  # the last page has been fetched: only publishing is left


def test_an_unfinished_job_without_a_cursor_starts_at_page_0(backend: AbstractBackend) -> None:
    first = open_job(backend, pipeline())
    again = open_job(backend, pipeline())
    assert (again.job.id, again.run.resume.last_iteration) == (first.job.id, None)


def test_an_exhausted_job_only_has_to_be_published(backend: AbstractBackend) -> None:
    first = open_job(backend, pipeline())
    commit(backend, first.job, 3, {})
    assert open_job(backend, pipeline()).run.resume.exhausted


@pytest.mark.parametrize("left_as", [JobStatus.SUCCEEDED, JobStatus.CANCELED])
def test_after_a_finished_job_a_new_one_is_created(backend: AbstractBackend, left_as: JobStatus) -> None:
    first = open_job(backend, pipeline())
    commit(backend, first.job, 3, {"page": 4})
    backend.update_stream_job_status(first.job.id, left_as)
    again = open_job(backend, pipeline())
    assert again.job.id != first.job.id
    assert again.run.resume.last_iteration is None


@pytest.mark.parametrize("change", [{"force_ignore_checkpoint": True}, {"sync_mode": "incremental"}])
def test_a_job_that_must_not_continue_is_cancelled_with_the_reason(
    backend: AbstractBackend, change: dict[str, Any]
) -> None:
    first = open_job(backend, pipeline())
    again = open_job(backend, pipeline(**change))
    old = backend.get_stream_job_by_id(first.job.id)
    assert again.job.id != first.job.id
    assert old is not None
    assert old.status is JobStatus.CANCELED
    assert old.error_message is not None
    assert next(iter(change)) in old.error_message


def test_an_old_full_refresh_restarts_and_an_old_incremental_is_resumed(backend: AbstractBackend) -> None:
    later = datetime.now(UTC) + timedelta(hours=25)
    for mode, resumed in (("full_refresh", False), ("incremental", True)):
        first = open_job(backend, pipeline(sync_mode=mode))
        again = open_job(backend, pipeline(sync_mode=mode), now=later)
        assert (again.job.id == first.job.id) is resumed


def test_the_watermark_is_the_creation_time_of_the_last_successful_job(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="incremental", cursor_field="updated_at")
    first = open_job(backend, config)
    assert first.incremental is None, "the first run fetches everything"
    assert end(backend, first, published=True) is JobStatus.SUCCEEDED
    second = open_job(backend, config)
    assert second.incremental is not None
    assert second.incremental.last_run == first.job.created_at
    assert second.incremental.run_started_at == second.job.created_at
    assert second.incremental.cursor_field == "updated_at"


@pytest.mark.lesson("F-06")
def test_a_lookback_reaches_behind_the_watermark(backend: AbstractBackend) -> None:
    """Records that became visible late used to fall before the watermark and were never fetched."""
    config = pipeline(sync_mode="incremental", incremental_lookback=90)
    first = open_job(backend, config)
    end(backend, first, published=True)
    state = open_job(backend, config).incremental
    assert state is not None
    assert state.last_run == first.job.created_at - timedelta(seconds=90)
    assert state.last_run.tzinfo is not None


@pytest.mark.lesson("F-05")
def test_a_run_that_found_nothing_new_succeeds_and_moves_the_watermark(backend: AbstractBackend) -> None:
    """Used to leave its job running; the next run then fetched the same window again."""
    config = pipeline(sync_mode="incremental")
    end(backend, open_job(backend, config), published=True)
    nothing_new = open_job(backend, config)
    assert end(backend, nothing_new, published=True, records_written=0) is JobStatus.SUCCEEDED
    state = open_job(backend, config).incremental
    assert state is not None
    assert state.last_run == nothing_new.job.created_at


@pytest.mark.lesson("F-04")
def test_a_job_whose_output_is_not_published_has_not_succeeded(backend: AbstractBackend) -> None:
    opened = open_job(backend, pipeline())
    error = "publishing failed: no space left"
    status = end(backend, opened, consumer=PipelineReturnStatus.DESTINATION_ERROR, error=error)
    job = backend.get_stream_job_by_id(opened.job.id)
    assert status is JobStatus.FAILED
    assert job is not None
    assert job.error_message == error


@pytest.mark.lesson("F-25")
def test_a_failed_job_says_failed_and_why(backend: AbstractBackend) -> None:
    opened = open_job(backend, pipeline())
    assert end(backend, opened, producer=SOURCE_ERROR, error="HTTP 500") is JobStatus.FAILED
    job = backend.get_stream_job_by_id(opened.job.id)
    assert job is not None
    assert job.error_message == "HTTP 500"


@pytest.mark.lesson("F-24")
def test_a_capped_run_leaves_its_job_to_be_resumed_and_moves_no_watermark(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="incremental", max_iterations=1)
    opened = open_job(backend, config)
    assert end(backend, opened, capped=True) is JobStatus.RUNNING
    assert open_job(backend, config).job.id == opened.job.id
    assert open_job(backend, config).incremental is None


def test_a_stream_that_was_stopped_stays_running(backend: AbstractBackend) -> None:
    opened = open_job(backend, pipeline(sync_mode="stream"))
    status = RunnerStatus(opened.job.id, stream=PipelineReturnStatus.KILLED_BY_RUNNER, interrupted=True)
    close_job(backend, opened, status)
    job = backend.get_stream_job_by_id(opened.job.id)
    assert job is not None
    assert job.status is JobStatus.RUNNING


def test_an_empty_pagination_does_not_end_a_stream(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="stream")
    first = open_job(backend, config)
    commit(backend, first.job, 6, {})
    resume = open_job(backend, config).run.resume
    assert not resume.exhausted
    assert resume.next_iteration == 7


def test_the_state_of_the_last_success_is_kept_by_a_run_that_brings_none(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="incremental")
    first = open_job(backend, config)
    backend.create_destination_cursor(
        CommitRecord(first.job.id, first.run.epoch, KEY, "file", 0, 0, 1, {}, next_state={"high": 9})
    )
    end(backend, first, published=True)
    end(backend, open_job(backend, config), published=True)
    third = open_job(backend, config)
    assert third.incremental is not None
    assert third.incremental.state == {"high": 9}


def test_a_reset_replaces_although_the_mode_appends_until_it_has_succeeded(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="incremental")
    end(backend, open_job(backend, config), published=True)
    unfinished = open_job(backend, config)
    assert not unfinished.replaces
    backend.request_stream_reset(KEY)
    first = open_job(backend, config)
    again = open_job(backend, config)
    assert first.job.id != unfinished.job.id
    assert again.job.id == first.job.id
    assert (first.replaces, again.replaces) == (True, True)
    assert first.incremental is None
    end(backend, again, published=True)
    after = open_job(backend, config)
    assert not after.replaces
    assert after.incremental is not None
    assert after.incremental.last_run == again.job.created_at


def test_without_any_commit_a_run_has_no_history(backend: AbstractBackend) -> None:
    config = pipeline(sync_mode="incremental")
    assert not open_job(backend, config).run.resume.has_history
    started = open_job(backend, config)
    assert not started.run.resume.has_history, "a run that died before its first commit has none either"
    commit(backend, started.job, 0, {"page": 1})
    assert open_job(backend, config).run.resume.has_history


def test_a_fresh_start_without_history_is_a_reset(backend: AbstractBackend) -> None:
    opened = open_job(backend, pipeline(sync_mode="incremental", force_ignore_checkpoint=True))
    assert opened.replaces
    end(backend, opened, published=True)
    assert not open_job(backend, pipeline(sync_mode="incremental", force_ignore_checkpoint=True)).replaces


def test_a_fresh_start_first_finishes_a_job_that_was_killed_when_it_may_have_been_published(
    backend: AbstractBackend,
) -> None:
    config = pipeline(sync_mode="incremental")
    end(backend, open_job(backend, config), published=True)
    killed = open_job(backend, config)
    commit(backend, killed.job, 0, {})
    fresh = pipeline(sync_mode="incremental", force_ignore_checkpoint=True)
    first = open_job(backend, fresh)
    assert (first.job.id, first.run.resume.exhausted, first.then_another) == (killed.job.id, True, True)
    end(backend, first, published=True)
    then = open_job(backend, fresh)
    assert (then.job.id != killed.job.id, then.then_another) == (True, False)
    assert then.incremental is not None
    assert then.incremental.last_run == killed.job.created_at


@pytest.mark.parametrize("reason", ["it failed", "it is not exhausted", "it is a full refresh"])
def test_a_fresh_start_cancels_a_job_that_cannot_be_published(backend: AbstractBackend, reason: str) -> None:
    mode = "full_refresh" if reason == "it is a full refresh" else "incremental"
    config = pipeline(sync_mode=mode)
    end(backend, open_job(backend, config), published=True)
    job = open_job(backend, config)
    commit(backend, job.job, 0, {"page": 1} if reason == "it is not exhausted" else {})
    if reason == "it failed":
        end(backend, job, consumer=PipelineReturnStatus.DESTINATION_ERROR)
    opened = open_job(backend, pipeline(sync_mode=mode, force_ignore_checkpoint=True))
    assert opened.job.id != job.job.id
    assert not opened.then_another
    assert backend.get_stream_job_by_id(job.job.id).status is JobStatus.CANCELED  # type: ignore[union-attr]


@pytest.mark.lesson("F-04")
@pytest.mark.parametrize("published", [True, False])
def test_a_superseded_run_does_not_decide_how_the_job_ends(backend: AbstractBackend, published: bool) -> None:
    """It used to mark a published job as failed, and the next run published the old rows again."""
    config = pipeline()
    overtaken, current = open_job(backend, config), open_job(backend, config)
    how = {"published": True} if published else {"consumer": PipelineReturnStatus.BACKEND_ERROR}
    assert end(backend, overtaken, **how) is JobStatus.RUNNING
    assert end(backend, current, published=True) is JobStatus.SUCCEEDED
    assert end(backend, overtaken, **how) is JobStatus.SUCCEEDED


DAY = timedelta(days=1)


def _unfinished_incremental(backend: AbstractBackend, pagination: dict[str, Any]) -> tuple[OpenedJob, OpenedJob]:
    """A job that has succeeded, and the one after it, which has a checkpoint."""
    config = pipeline(sync_mode="incremental")
    first = open_job(backend, config)
    end(backend, first, published=True)
    second = open_job(backend, config)
    commit(backend, second.job, 3, pagination)
    backend.update_stream_job_status(second.job.id, JobStatus.FAILED)
    return first, second


def test_an_incremental_job_with_an_old_checkpoint_fetches_its_window_again(backend: AbstractBackend) -> None:
    """Every run requested a cursor that the API had forgotten."""
    first, second = _unfinished_incremental(backend, {"page": 4})
    again = open_job(backend, pipeline(sync_mode="incremental"), now=datetime.now(UTC) + DAY * 1.1)
    assert again.job.id != second.job.id
    assert again.run.resume.last_iteration is None
    assert again.incremental is not None
    assert again.incremental.last_run == first.job.created_at, "nothing between the two windows is left out"
    old = backend.get_stream_job_by_id(second.job.id)
    assert old is not None
    assert old.status is JobStatus.CANCELED


@pytest.mark.parametrize(
    ("pagination", "later", "max_age"),
    [({"page": 4}, DAY * 0.9, 86_400), ({}, DAY * 9, 86_400), ({"page": 4}, DAY, 1e6)],
)
def test_an_incremental_job_resumes_while_its_checkpoint_is_recent_or_only_publishing_is_left(
    backend: AbstractBackend, pagination: dict[str, Any], later: timedelta, max_age: float
) -> None:
    _, second = _unfinished_incremental(backend, pagination)
    config = pipeline(sync_mode="incremental", checkpoint_max_age=max_age)
    assert open_job(backend, config, now=datetime.now(UTC) + later).job.id == second.job.id


@pytest.mark.parametrize("fresh", [False, True])
def test_a_reset_outlives_the_job_that_is_cancelled(backend: AbstractBackend, fresh: bool) -> None:
    first, _ = _unfinished_incremental(backend, {"page": 4})
    backend.request_stream_reset(first.job.key)
    reset = open_job(backend, pipeline(sync_mode="incremental"))
    assert reset.replaces
    commit(backend, reset.job, 3, {"page": 4})
    config = pipeline(sync_mode="incremental", force_ignore_checkpoint=fresh)
    again = open_job(backend, config, now=datetime.now(UTC) + DAY * 2)
    assert again.job.id != reset.job.id
    assert again.replaces
    assert again.incremental is None


def test_cursors_of_finished_jobs_are_removed_when_a_new_job_is_created(backend: AbstractBackend) -> None:
    jobs = []
    for _ in range(4):
        opened = open_job(backend, pipeline())
        commit(backend, opened.job, 3, {})
        backend.create_source_cursor(opened.job.id, KEY, 3, 3, {"page": 3})
        end(backend, opened, published=True)
        jobs.append(opened.job.id)
    kept = [len(backend.committed(job_id).cursors) for job_id in jobs]
    assert kept == [0, 0, 1, 1], "the cursor of the previous job stays for the status"


@pytest.mark.parametrize("mode", ["incremental", "full_refresh"])
def test_an_adoption_carries_over_to_the_job_that_replaces_an_expired_one(backend: AbstractBackend, mode: str) -> None:
    """A scheduled run has no --adopt."""
    adopted = open_job(backend, pipeline(sync_mode=mode, adopt_output=True))
    commit(backend, adopted.job, 3, {"page": 4})
    again = open_job(backend, pipeline(sync_mode=mode), now=datetime.now(UTC) + DAY * 2)
    assert again.job.id != adopted.job.id
    assert again.run.resume.adopt
