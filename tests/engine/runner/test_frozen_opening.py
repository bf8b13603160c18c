"""A run that is frozen while it opens its job, for longer than its lease: what others did meanwhile stays."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.common.errors.errors import OvertakenError
from bizon.engine.backend.adapters.sqlalchemy import job_table
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.parts import naive_now
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes
from bizon.engine.backend.models import JobStatus, StreamJob
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.jobs import close_job, open_job
from bizon.engine.runner.models import RunnerStatus

SUCCESS = PipelineReturnStatus.SUCCESS


@pytest.fixture
def backend() -> AbstractBackend:
    return memory_backend()


def frozen_at(backend: AbstractBackend, method: str, others: Callable[[], object]) -> None:
    """The next call of a method is the moment in which the run is frozen, and others do something."""
    inner = getattr(backend, method)

    def call(*args: Any, **keys: Any) -> Any:
        setattr(backend, method, inner)
        others()
        return inner(*args, **keys)

    setattr(backend, method, call)


def published(backend: AbstractBackend, mode: str = "incremental", joined: str | None = None) -> StreamJob:
    """A run from its beginning to its end."""
    opened = open_job(backend, pipeline(sync_mode=mode), joined=joined)
    close_job(backend, opened, RunnerStatus(opened.job.id, producer=SUCCESS, consumer=SUCCESS, published=True))
    return opened.job


def test_a_run_that_is_frozen_before_it_creates_a_job_creates_none_besides(backend: AbstractBackend) -> None:
    frozen_at(backend, "create_stream_job", lambda: published(backend))
    with pytest.raises(OvertakenError):
        open_job(backend, pipeline(sync_mode="incremental"))
    newest = backend.get_last_stream_job(KEY)
    assert newest is not None
    assert newest.has_succeeded
    assert backend.get_last_successful_stream_job(KEY) == newest


def test_a_run_that_is_frozen_in_the_middle_of_creating_a_job_creates_none_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job was older than the one that was published meanwhile. It never ended."""
    config = AbstractBackendConfigDetails(database=str(tmp_path / "state"))
    first, other = (SQLAlchemyBackend(config, BackendTypes.SQLITE) for _ in range(2))
    with first, other:
        first.create_all_tables()

        def frozen() -> datetime:
            began = naive_now()
            monkeypatch.setattr(job_table, "naive_now", naive_now)
            published(other)
            return began

        monkeypatch.setattr(job_table, "naive_now", frozen)
        with pytest.raises(OvertakenError):
            open_job(first, pipeline(sync_mode="incremental"))
        newest = first.get_last_stream_job(KEY)
        assert newest is not None
        assert newest.has_succeeded
        count = "SELECT count(*) FROM stream_jobs"
        assert first._transactions.run(lambda state: state.exec_driver_sql(count).scalar()) == 1


def test_a_fresh_run_that_is_frozen_does_not_cancel_what_was_published_meanwhile(backend: AbstractBackend) -> None:
    """The job lost its watermark then, and the next run fetched its window again."""
    unfinished = open_job(backend, pipeline(sync_mode="incremental")).job
    frozen_at(backend, "request_stream_reset", lambda: published(backend))
    fresh = open_job(backend, pipeline(sync_mode="incremental", force_ignore_checkpoint=True)).job
    assert fresh.id != unfinished.id
    succeeded = backend.get_stream_job_by_id(unfinished.id)
    assert succeeded is not None
    assert succeeded.status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_command_that_is_frozen_before_it_begins_a_job_learns_that_it_is_published(
    backend: AbstractBackend, mode: str
) -> None:
    job = published(backend, mode, joined="monday")
    with pytest.raises(OvertakenError):
        open_job(backend, pipeline(sync_mode=mode), joined="monday")
    newest = backend.get_last_stream_job(KEY)
    assert newest is not None
    assert newest.id == job.id


@pytest.mark.parametrize("name", ["tuesday", ""])
def test_a_job_of_another_name_is_begun_after_one_that_is_published(backend: AbstractBackend, name: str) -> None:
    before = published(backend, "full_refresh", joined="monday")
    assert open_job(backend, pipeline(), joined=name).job.id != before.id
