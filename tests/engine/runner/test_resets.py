"""A reset that is taken back: by ``withdraw_reset``, and by a run that its destination has refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.common.errors.errors import ConfigError, JobLockedError, OvertakenError
from bizon.common.models import BizonConfig
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, JobStatus, Role, StreamJob
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import OpenedJob, Withdrawn, close_job, open_job, withdraw_reset
from bizon.engine.runner.lease import held_lease, lease_key
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.report import cancel_reset, request_reset
from bizon.engine.runner.windows import Scope

EVERYTHING = Scope(everything=True)
INCREMENTAL = pipeline(sync_mode="incremental")
FRESH = pipeline(sync_mode="incremental", force_ignore_checkpoint=True)
FAILURE = PipelineReturnStatus.DESTINATION_ERROR


@pytest.fixture
def backend() -> AbstractBackend:
    """The state after one run that has succeeded, with a state of its source."""
    backend = memory_backend()
    first = open_job(backend, INCREMENTAL)
    commit(backend, first, {}, next_state={"token": "abc"})
    backend.update_stream_job_status(first.job.id, JobStatus.SUCCEEDED)
    return backend


def commit(
    backend: AbstractBackend, opened: OpenedJob, pagination: dict[str, Any], next_state: dict[str, Any] | None = None
) -> None:
    record = CommitRecord(opened.job.id, opened.run.epoch, KEY, "file", 0, 0, 5, pagination, next_state)
    backend.create_destination_cursor(record)


def failed(backend: AbstractBackend, opened: OpenedJob, error: str = "HTTP 500", *, refused: bool = False) -> str:
    """The run fails, or its destination refuses it; what it says in the end."""
    status = close_job(backend, opened, RunnerStatus(opened.job.id, consumer=FAILURE, error=error, refused=refused))
    assert status.error is not None
    return status.error


def found(backend: AbstractBackend, job_id: str) -> StreamJob:
    job = backend.get_stream_job_by_id(job_id)
    assert job is not None
    return job


def assert_continues(backend: AbstractBackend) -> None:
    """A plain run fetches what is new since the first one, with the state that the source had left."""
    mark = backend.get_last_successful_stream_job(KEY)
    opened = open_job(backend, INCREMENTAL)
    assert mark is not None
    assert opened.incremental is not None
    assert (opened.incremental.last_run, dict(opened.incremental.state)) == (mark.created_at, {"token": "abc"})
    assert (opened.replaces, opened.run.resume.last_iteration) == (False, None)


def test_a_pending_reset_is_withdrawn_and_the_unfinished_job_goes_on(backend: AbstractBackend) -> None:
    unfinished = open_job(backend, INCREMENTAL)
    commit(backend, unfinished, {"page": 1})
    backend.request_stream_reset(KEY)
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=True)
    again = open_job(backend, INCREMENTAL)
    assert (again.job.id, again.run.resume.next_iteration, again.replaces) == (unfinished.job.id, 1, False)


@pytest.mark.parametrize("left_as", [JobStatus.STARTED, JobStatus.RUNNING, JobStatus.FAILED])
def test_a_job_that_carries_a_reset_is_cancelled_for_this_reason(backend: AbstractBackend, left_as: JobStatus) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    commit(backend, reset, {"page": 1}, next_state={"token": "of the reset"})
    backend.update_stream_job_status(reset.job.id, left_as)
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=False, job_id=reset.job.id)
    job = found(backend, reset.job.id)
    assert (job.status, job.error_message) == (JobStatus.CANCELED, "its reset was withdrawn")
    assert_continues(backend)


def test_a_reset_that_is_pending_again_is_withdrawn_with_the_one_that_a_job_carries(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    backend.request_stream_reset(KEY)
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=True, job_id=reset.job.id)
    assert_continues(backend)


def test_a_reset_that_fresh_starts_have_inherited_is_withdrawn_too(backend: AbstractBackend) -> None:
    first = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    inherits = open_job(backend, FRESH)
    assert (inherits.job.id != first.job.id, inherits.replaces) == (True, True)
    assert withdraw_reset(backend, INCREMENTAL).job_id == inherits.job.id
    assert_continues(backend)


def test_a_run_that_was_frozen_cannot_commit_for_the_cancelled_job(backend: AbstractBackend) -> None:
    frozen = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    withdraw_reset(backend, INCREMENTAL)
    with pytest.raises(OvertakenError):
        commit(backend, frozen, {"page": 1})
    failed(backend, frozen)
    assert found(backend, frozen.job.id).status is JobStatus.CANCELED


def test_without_a_reset_nothing_is_withdrawn(backend: AbstractBackend) -> None:
    unfinished = open_job(backend, INCREMENTAL)
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=False)
    assert open_job(backend, INCREMENTAL).job.id == unfinished.job.id


def test_a_reset_that_is_published_stays(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    close_job(backend, reset, RunnerStatus(reset.job.id, consumer=PipelineReturnStatus.SUCCESS, published=True))
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=False)
    assert found(backend, reset.job.id).status is JobStatus.SUCCEEDED


def test_a_job_that_may_be_published_is_left_to_the_next_run(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    commit(backend, reset, {})
    backend.request_stream_reset(KEY)
    assert withdraw_reset(backend, INCREMENTAL) == Withdrawn(pending=True, job_id=reset.job.id, may_be_published=True)
    again = open_job(backend, INCREMENTAL)
    assert (again.job.id, again.run.resume.exhausted, again.replaces) == (reset.job.id, True, True)


def test_a_job_that_failed_to_publish_is_cancelled(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    commit(backend, reset, {})
    failed(backend, reset)
    assert withdraw_reset(backend, INCREMENTAL).job_id == reset.job.id
    assert_continues(backend)


def test_in_full_refresh_only_a_pending_reset_is_withdrawn(backend: AbstractBackend) -> None:
    """Its jobs replace the output anyway: a cancelled one would only lose its pages."""
    config = pipeline()
    reset = open_job(backend, config, scope=EVERYTHING)
    commit(backend, reset, {"page": 1})
    backend.request_stream_reset(KEY)
    assert withdraw_reset(backend, config) == Withdrawn(pending=True)
    assert open_job(backend, config).run.resume.next_iteration == 1


@pytest.mark.parametrize("scope", [EVERYTHING, Scope()], ids=["full refresh", "stream reset"])
@pytest.mark.parametrize("is_reset", [False, True])
def test_a_reset_waits_for_a_job_that_may_be_published(backend: AbstractBackend, scope: Scope, is_reset: bool) -> None:
    """It used to cancel that job. Once the reset was withdrawn, the rows of that job would have been appended again."""
    killed = open_job(backend, INCREMENTAL, scope=EVERYTHING if is_reset else Scope())
    commit(backend, killed, {})
    if not scope.everything or is_reset:
        backend.request_stream_reset(KEY)
    first = open_job(backend, INCREMENTAL, scope=scope)
    assert (first.job.id, first.then_another, first.replaces) == (killed.job.id, True, is_reset)
    close_job(backend, first, RunnerStatus(first.job.id, consumer=PipelineReturnStatus.SUCCESS, published=True))
    then = open_job(backend, INCREMENTAL, scope=scope)
    assert (then.job.id != killed.job.id, then.replaces, then.then_another) == (True, True, False)


def test_a_refused_run_takes_back_the_reset_that_it_implied(backend: AbstractBackend) -> None:
    refused = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    told = failed(backend, refused, "rows cannot be replaced", refused=True)
    assert told.startswith("rows cannot be replaced; nothing was fetched, and the full refresh is withdrawn")
    assert backend.get_stream_job_by_id(refused.job.id) is None
    assert not backend.has_pending_reset(KEY)
    assert_continues(backend)


@pytest.mark.parametrize("has_failed", [False, True])
def test_the_job_before_a_refused_one_is_as_it_was(backend: AbstractBackend, has_failed: bool) -> None:
    """Its pages are in the destination already: a new job would deliver them again, with other ids."""
    before = open_job(backend, INCREMENTAL)
    commit(backend, before, {"page": 1})
    if has_failed:
        failed(backend, before, "HTTP 503")
    kept = found(backend, before.job.id)
    failed(backend, open_job(backend, INCREMENTAL, scope=EVERYTHING), refused=True)
    job = found(backend, before.job.id)
    assert (job.status, job.error_message) == (kept.status, kept.error_message)
    again = open_job(backend, INCREMENTAL)
    assert (again.job.id, again.run.resume.next_iteration, again.run.resume.rows_written) == (before.job.id, 1, 5)


def test_a_refused_fresh_start_of_a_new_pipeline_leaves_nothing() -> None:
    backend = memory_backend()
    failed(backend, open_job(backend, FRESH), refused=True)
    assert backend.get_last_stream_job(KEY) is None
    assert not open_job(backend, INCREMENTAL).replaces


def test_a_reset_that_a_user_has_requested_outlives_the_refusal(backend: AbstractBackend) -> None:
    backend.request_stream_reset(KEY)
    for scope in (EVERYTHING, Scope()):
        refused = open_job(backend, INCREMENTAL, scope=scope)
        told = failed(backend, refused, refused=True)
        assert "`bizon stream reset CONFIG --cancel` withdraws" in told
        job = found(backend, refused.job.id)
        assert (job.status, job.error_message) == (JobStatus.FAILED, told)
    assert open_job(backend, INCREMENTAL).replaces
    assert withdraw_reset(backend, INCREMENTAL).job_id is not None
    assert_continues(backend)


def test_a_job_of_an_earlier_run_is_not_taken_back(backend: AbstractBackend) -> None:
    """It may have rows in the destination."""
    earlier = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    commit(backend, earlier, {"page": 1})
    failed(backend, open_job(backend, INCREMENTAL, scope=EVERYTHING), refused=True)
    again = open_job(backend, INCREMENTAL)
    assert (again.job.id, again.replaces, again.run.resume.next_iteration) == (earlier.job.id, True, 1)


def test_a_reset_that_a_fresh_start_has_inherited_is_not_taken_back() -> None:
    """The run before it got further, so the destination can replace: the refusal has another reason."""
    backend = memory_backend()
    failed(backend, open_job(backend, FRESH))
    assert "--cancel` withdraws" in failed(backend, open_job(backend, FRESH), refused=True)
    assert open_job(backend, INCREMENTAL).replaces


def test_a_kill_before_the_job_is_created_does_not_lose_its_reset(
    backend: AbstractBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    with monkeypatch.context() as patch:
        patch.setattr(backend, "create_stream_job", _killed)
        with pytest.raises(RuntimeError, match="killed"):
            open_job(backend, FRESH)
    assert found(backend, earlier.job.id).status is JobStatus.CANCELED
    assert open_job(backend, INCREMENTAL).replaces


def _killed(*_: object, **__: object) -> None:
    raise RuntimeError("killed")


def test_a_run_that_failed_otherwise_keeps_its_reset(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    assert failed(backend, reset) == "HTTP 500"
    assert open_job(backend, INCREMENTAL).job.id == reset.job.id


def test_a_refused_run_that_was_overtaken_takes_nothing_back(backend: AbstractBackend) -> None:
    refused = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    other = open_job(backend, INCREMENTAL)
    failed(backend, refused, refused=True)
    assert found(backend, other.job.id).status is JobStatus.RUNNING
    assert open_job(backend, INCREMENTAL).replaces


def test_the_reset_of_a_killed_run_is_withdrawn(backend: AbstractBackend) -> None:
    """Killed after it was refused, or between any two of its steps."""
    before = open_job(backend, INCREMENTAL)
    commit(backend, before, {"page": 1})
    open_job(backend, INCREMENTAL, scope=EVERYTHING)
    assert open_job(backend, INCREMENTAL).replaces, "the reset outlives the kill"
    withdraw_reset(backend, INCREMENTAL)
    assert_continues(backend)


def test_an_old_job_whose_reset_is_withdrawn_is_not_inherited_from(backend: AbstractBackend) -> None:
    reset = open_job(backend, INCREMENTAL, scope=EVERYTHING)
    commit(backend, reset, {"page": 1})
    withdraw_reset(backend, INCREMENTAL)
    assert not open_job(backend, FRESH, now=datetime.now(UTC) + timedelta(days=9)).replaces


@pytest.fixture
def kept(tmp_path: Path) -> BizonConfig:
    """An incremental pipeline whose state is in a file."""
    return BizonConfig.model_validate(
        {
            "name": "pipe",
            "source": {"name": "scripted", "stream": "items", "sync_mode": "incremental"},
            "destination": {"name": "logger", "config": {}},
            "engine": {"backend": {"type": "sqlite", "config": {"database": str(tmp_path / "state")}}},
        }
    )


@pytest.mark.parametrize("role", Role)
def test_while_a_run_is_in_progress_nothing_is_withdrawn(kept: BizonConfig, role: Role) -> None:
    """A request during a run is allowed: it is for the next one."""
    with build_backend(kept) as backend:
        with held_lease(backend, lease_key(KEY, role), 60, lambda _: None):
            request_reset(kept)
            with pytest.raises(JobLockedError):
                cancel_reset(kept)
        assert backend.has_pending_reset(KEY)
        assert cancel_reset(kept) == Withdrawn(pending=True)
        assert cancel_reset(kept) == Withdrawn(pending=False), "the leases are given back"


@pytest.mark.parametrize("pending", [False, True])
def test_a_job_that_may_be_published_is_named(kept: BizonConfig, pending: bool) -> None:
    with build_backend(kept) as backend:
        reset = open_job(backend, kept, scope=EVERYTHING)
        commit(backend, reset, {})
        if pending:
            request_reset(kept)
        with pytest.raises(ConfigError, match=f"job {reset.job.id} has fetched everything") as error:
            cancel_reset(kept)
        assert ("another reset" in str(error.value)) is pending
        assert not backend.has_pending_reset(KEY)
