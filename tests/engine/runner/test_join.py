"""The job that a separate consumer joins, and the status of that job."""

from typing import Any

import pytest
from fakes import KEY, memory_backend, pipeline

from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, JobStatus, Role, StreamJob
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.jobs import OpenedJob, close_job, join_job, open_job
from bizon.engine.runner.models import RunnerStatus

SUCCESS, SOURCE_ERROR = PipelineReturnStatus.SUCCESS, PipelineReturnStatus.SOURCE_ERROR
DESTINATION_ERROR = PipelineReturnStatus.DESTINATION_ERROR


@pytest.fixture
def backend() -> AbstractBackend:
    return memory_backend()


def produce(backend: AbstractBackend, **source: Any) -> OpenedJob:
    return open_job(backend, pipeline(**source), role=Role.PRODUCER)


def join(backend: AbstractBackend, before: OpenedJob | None = None, **source: Any) -> OpenedJob:
    joined = join_job(backend, pipeline(**source), before)
    assert joined is not None
    return joined


def found(backend: AbstractBackend, opened: OpenedJob) -> StreamJob:
    job = backend.get_stream_job_by_id(opened.job.id)
    assert job is not None
    return job


def fails(backend: AbstractBackend, opened: OpenedJob, **statuses: PipelineReturnStatus) -> None:
    close_job(backend, opened, RunnerStatus(opened.job.id, error="it broke", **statuses))


def test_without_a_job_there_is_nothing_to_join(backend: AbstractBackend) -> None:
    assert join_job(backend, pipeline()) is None


def test_a_job_whose_producer_has_not_started_cannot_be_joined(backend: AbstractBackend) -> None:
    job = backend.create_stream_job(KEY, "full_refresh")
    assert join_job(backend, pipeline()) is None
    backend.open_epoch(job.id, Role.PRODUCER)
    assert join(backend).job.id == job.id


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.CANCELED])
def test_a_job_that_is_over_cannot_be_joined(backend: AbstractBackend, status: JobStatus) -> None:
    opened = produce(backend)
    backend.update_stream_job_status(opened.job.id, status)
    assert join_job(backend, pipeline()) is None


def test_a_consumer_is_a_start_of_its_own_and_listens_to_the_latest_producer(backend: AbstractBackend) -> None:
    produce(backend)
    producer = produce(backend)
    joined, again = join(backend), join(backend)
    assert (joined.run.epoch, again.run.epoch) == (producer.run.epoch + 1, producer.run.epoch + 2)
    assert (joined.run.producer_epoch, again.run.producer_epoch) == (producer.run.epoch, producer.run.epoch)
    assert joined.run.resume.epoch == joined.run.epoch


def test_a_consumer_resumes_after_the_last_commit(backend: AbstractBackend) -> None:
    produce(backend)
    first = join(backend)
    backend.create_destination_cursor(CommitRecord(first.job.id, first.run.epoch, KEY, "file", 0, 3, 9, {"page": 4}))
    second = join(backend)
    assert (second.run.resume.next_iteration, second.run.resume.rows_written) == (4, 9)
    assert not second.run.resume.exhausted
    backend.create_destination_cursor(CommitRecord(first.job.id, second.run.epoch, KEY, "file", 4, 4, 1, {}))
    assert join(backend).run.resume.exhausted


def test_the_newest_job_is_joined(backend: AbstractBackend) -> None:
    old = produce(backend)
    new = produce(backend, force_ignore_checkpoint=True)
    assert new.job.id != old.job.id
    assert join(backend).job.id == new.job.id


def test_a_reset_replaces_the_output_of_an_incremental_stream(backend: AbstractBackend) -> None:
    produce(backend, sync_mode="incremental")
    assert not join(backend).replaces
    backend.request_stream_reset(KEY)
    produce(backend, sync_mode="incremental")
    assert join(backend).replaces


def test_a_job_that_its_consumer_failed_is_running_again_when_one_joins(backend: AbstractBackend) -> None:
    produce(backend)
    fails(backend, join(backend), consumer=DESTINATION_ERROR)
    joined = join(backend)
    assert (found(backend, joined).status, found(backend, joined).error_message) == (JobStatus.RUNNING, None)


def test_a_consumer_that_comes_later_does_not_hide_that_the_producer_failed(backend: AbstractBackend) -> None:
    fails(backend, produce(backend), producer=SOURCE_ERROR)
    joined = join(backend)
    assert (found(backend, joined).status, found(backend, joined).error_message) == (JobStatus.FAILED, "it broke")
    produce(backend)
    assert found(backend, join(backend)).status is JobStatus.RUNNING


def test_a_consumer_that_was_already_waiting_does_not_hide_it_either(backend: AbstractBackend) -> None:
    """It joins again after an aborted end, perhaps just when the producer reports why."""
    producer = produce(backend)
    joined = join(backend)
    fails(backend, producer, producer=SOURCE_ERROR)
    again = join(backend, before=joined)
    assert again.run.epoch > joined.run.epoch
    assert found(backend, again).status is JobStatus.FAILED
    produce(backend)
    assert found(backend, join(backend, before=again)).status is JobStatus.RUNNING


def test_a_producer_that_is_done_leaves_the_end_to_the_consumer(backend: AbstractBackend) -> None:
    producer = produce(backend)
    close_job(backend, producer, RunnerStatus(producer.job.id, producer=SUCCESS))
    assert found(backend, producer).status is JobStatus.RUNNING
    joined = join(backend)
    close_job(backend, joined, RunnerStatus(joined.job.id, consumer=SUCCESS, published=True))
    fails(backend, producer, producer=SOURCE_ERROR)
    assert (found(backend, joined).status, found(backend, joined).error_message) == (JobStatus.SUCCEEDED, None)
