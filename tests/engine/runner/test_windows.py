"""The job of a run with a window, and the state it leaves alone: the table in ``engine/runner/windows.py``."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import WINDOW, CommitRecord, JobStatus
from bizon.engine.runner.jobs import OpenedJob, open_job
from bizon.engine.runner.windows import Scope

JANUARY = Scope(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
FEBRUARY = Scope(datetime(2020, 2, 1, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC))


@pytest.fixture
def backend() -> AbstractBackend:
    """The state after one successful run, with a state of its source."""
    backend = memory_backend()
    first = open_job(backend, incremental())
    commit(backend, first, {}, next_state={"token": "abc"})
    backend.note_output(first.job.id, {"identity": {"place": "out"}, "has_rows": True}, epoch=first.run.epoch)
    backend.update_stream_job_status(first.job.id, JobStatus.SUCCEEDED)
    return backend


def incremental(**source: Any) -> BizonConfig:
    return pipeline(sync_mode="incremental", **source)


def commit(
    backend: AbstractBackend, opened: OpenedJob, pagination: dict[str, Any], next_state: dict[str, Any] | None = None
) -> None:
    record = CommitRecord(opened.job.id, opened.run.epoch, KEY, "file", 0, 0, 5, pagination, next_state)
    backend.create_destination_cursor(record)


def test_the_source_is_given_the_window_and_no_token_that_continues_after_it(backend: AbstractBackend) -> None:
    opened = open_job(backend, incremental(cursor_field="changed", incremental_lookback=60), scope=JANUARY)
    given = opened.incremental
    assert given is not None
    assert (given.last_run, given.run_started_at) == (JANUARY.since, JANUARY.until)
    assert (given.cursor_field, dict(given.state)) == ("changed", {})
    assert (opened.job.sync_mode, opened.replaces) == (WINDOW, False)


def test_a_window_moves_neither_the_watermark_nor_the_state_of_the_source(backend: AbstractBackend) -> None:
    mark = backend.get_last_successful_stream_job(KEY)
    assert mark is not None
    opened = open_job(backend, incremental(), scope=JANUARY)
    commit(backend, opened, {}, next_state={"token": "of the past"})
    backend.update_stream_job_status(opened.job.id, JobStatus.SUCCEEDED)
    after = open_job(backend, incremental())
    assert after.incremental is not None
    assert (after.incremental.last_run, dict(after.incremental.state)) == (mark.created_at, {"token": "abc"})
    published = after.run.resume.published
    assert published is not None
    assert (published.job_id, published.also) == (mark.id, (opened.job.id,))


@pytest.mark.parametrize("left_as", [JobStatus.STARTED, JobStatus.RUNNING, JobStatus.FAILED])
def test_the_same_window_resumes_its_job(backend: AbstractBackend, left_as: JobStatus) -> None:
    first = open_job(backend, incremental(), scope=JANUARY)
    commit(backend, first, {"page": 1})
    backend.update_stream_job_status(first.job.id, left_as)
    again = open_job(backend, incremental(), scope=JANUARY)
    assert (again.job.id, again.run.resume.next_iteration) == (first.job.id, 1)
    assert again.incremental == first.incremental


@pytest.mark.parametrize("scope", [FEBRUARY, Scope()], ids=["another window", "no window"])
def test_a_run_of_another_kind_cancels_an_unfinished_window(backend: AbstractBackend, scope: Scope) -> None:
    first = open_job(backend, incremental(), scope=JANUARY)
    commit(backend, first, {"page": 1})
    other = open_job(backend, incremental(), scope=scope)
    cancelled = backend.get_stream_job_by_id(first.job.id)
    assert cancelled is not None
    assert (cancelled.status, other.job.id != first.job.id) == (JobStatus.CANCELED, True)


@pytest.mark.parametrize("left_as", [JobStatus.RUNNING, JobStatus.FAILED])
@pytest.mark.parametrize("scope", [FEBRUARY, Scope()], ids=["another window", "no window"])
def test_a_window_that_may_be_published_already_is_finished_first(
    backend: AbstractBackend, scope: Scope, left_as: JobStatus
) -> None:
    """Its rows would be appended again, and no other job would know who published last."""
    first = open_job(backend, incremental(), scope=JANUARY)
    commit(backend, first, {})
    backend.update_stream_job_status(first.job.id, left_as)
    leftover = open_job(backend, incremental(), scope=scope)
    assert (leftover.job.id, leftover.run.resume.exhausted, leftover.then_another) == (first.job.id, True, True)
    assert leftover.incremental == first.incremental


def test_a_window_is_whole_units_of_the_timestamps(backend: AbstractBackend) -> None:
    scope = Scope(datetime(2020, 1, 1, 0, 0, 30), datetime(2020, 1, 1, 1, 0, 30))
    opened = open_job(backend, incremental(cursor_resolution=60), scope=scope)
    assert opened.incremental is not None
    assert opened.incremental.last_run == datetime(2020, 1, 1, tzinfo=UTC)
    assert opened.incremental.run_started_at == datetime(2020, 1, 1, 1, tzinfo=UTC)


def test_a_window_without_an_end_reaches_the_watermark(backend: AbstractBackend) -> None:
    mark = backend.get_last_successful_stream_job(KEY)
    assert mark is not None
    opened = open_job(backend, incremental(), scope=Scope(JANUARY.since))
    assert opened.incremental is not None
    assert opened.incremental.run_started_at == mark.created_at


def test_a_reset_comes_before_a_window(backend: AbstractBackend) -> None:
    backend.request_stream_reset(KEY)
    with pytest.raises(ConfigError, match="the next run without it fetches everything"):
        open_job(backend, incremental(), scope=JANUARY)
    assert backend.has_pending_reset(KEY)


def test_a_full_refresh_is_a_reset_that_the_same_command_resumes(backend: AbstractBackend) -> None:
    everything = Scope(everything=True)
    first = open_job(backend, incremental(), scope=everything)
    assert (first.incremental, first.replaces) == (None, True)
    commit(backend, first, {"page": 1})
    again = open_job(backend, incremental(), scope=everything)
    assert (again.job.id, again.replaces, again.run.resume.next_iteration) == (first.job.id, True, 1)
    backend.update_stream_job_status(first.job.id, JobStatus.SUCCEEDED)
    after = open_job(backend, incremental())
    assert after.incremental is not None
    assert (after.incremental.last_run, after.replaces) == (first.job.created_at, False)
