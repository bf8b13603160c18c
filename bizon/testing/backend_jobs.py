"""Jobs: created, found, ended, restarted, reset."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bizon.common.errors.errors import OvertakenError
from bizon.engine.backend.models import WINDOW, JobStatus, Role, StreamJob
from bizon.testing.backend_fixtures import KEY, OTHER_STREAM, BackendFixtures, commit

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend

HOSTILE = {"é": "😀", "nul": "\0", "quote": "'\"\\", "big": 2**62, "none": None, "yes": True, "list": [1.5, {"a": []}]}

ERRORS = {
    "long": "x" * 100_000,
    "beyond 16 bits": "😀" * 300,
    "NUL": "a NUL \0 within",
    "surrogate": "half a character \ud83d",
}


class JobBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    def test_a_job_is_created_started_and_found_again(self, backend: "AbstractBackend") -> None:
        job = backend.create_stream_job(KEY, "incremental", incremental_state=HOSTILE)
        assert (job.status, job.attempt, job.sync_mode, job.key) == (JobStatus.STARTED, 0, "incremental", KEY)
        assert job.created_at.utcoffset() == datetime.now(UTC).utcoffset()
        assert job.incremental_state == HOSTILE
        assert backend.get_stream_job_by_id(job.id) == job
        assert backend.get_last_stream_job(KEY) == job

    def test_a_missing_job_is_none(self, backend: "AbstractBackend") -> None:
        assert backend.get_last_stream_job(KEY) is None
        assert backend.get_last_successful_stream_job(KEY) is None
        assert backend.get_stream_job_by_id("nope") is None

    def test_a_job_has_the_time_of_its_creation(self, backend: "AbstractBackend") -> None:
        before = datetime.now(UTC)
        assert before <= backend.create_stream_job(KEY, "full_refresh").created_at <= datetime.now(UTC)

    def test_status_and_error_are_written_and_cleared(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        backend.update_stream_job_status(job_id, JobStatus.FAILED, "it broke")
        failed = _found(backend, job_id)
        assert (failed.status, failed.error_message) == (JobStatus.FAILED, "it broke")
        backend.update_stream_job_status(job_id, JobStatus.SUCCEEDED)
        done = _found(backend, job_id)
        assert (done.status, done.error_message) == (JobStatus.SUCCEEDED, None)

    @pytest.mark.parametrize("text", ERRORS.values(), ids=ERRORS)
    def test_any_error_can_be_noted(self, backend: "AbstractBackend", text: str) -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        backend.update_stream_job_status(job_id, JobStatus.FAILED, text)
        assert (_found(backend, job_id).error_message or "").startswith(text[:6])

    def test_the_newest_job_and_the_newest_succeeded_job_may_differ(self, backend: "AbstractBackend") -> None:
        first, second = (backend.create_stream_job(KEY, "full_refresh") for _ in range(2))
        assert second.created_at > first.created_at
        backend.update_stream_job_status(first.id, JobStatus.SUCCEEDED)
        newest, succeeded = backend.get_last_stream_job(KEY), backend.get_last_successful_stream_job(KEY)
        assert newest is not None
        assert succeeded is not None
        assert (newest.id, succeeded.id) == (second.id, first.id)

    def test_a_run_creates_no_job_after_one_that_it_has_not_seen(self, backend: "AbstractBackend") -> None:
        first = backend.create_stream_job(KEY, "full_refresh", seen=datetime.min.replace(tzinfo=UTC))
        second = backend.create_stream_job(KEY, "full_refresh", seen=first.created_at)
        backend.create_stream_job(OTHER_STREAM, "full_refresh")
        for seen in (datetime.min.replace(tzinfo=UTC), first.created_at):
            with pytest.raises(OvertakenError):
                backend.create_stream_job(KEY, "full_refresh", seen=seen)
        assert backend.get_last_stream_job(KEY) == second
        backend.create_stream_job(KEY, "full_refresh", seen=second.created_at)

    def test_a_window_of_the_past_is_not_a_watermark(self, backend: "AbstractBackend") -> None:
        watermark, window = backend.create_stream_job(KEY, "incremental"), backend.create_stream_job(KEY, WINDOW)
        assert backend.get_last_successful_window(KEY) is None
        for job in (watermark, window):
            backend.update_stream_job_status(job.id, JobStatus.SUCCEEDED)
        newest, succeeded = backend.get_last_stream_job(KEY), backend.get_last_successful_stream_job(KEY)
        found = backend.get_last_successful_window(KEY)
        assert newest is not None
        assert succeeded is not None
        assert found is not None
        assert (newest.id, succeeded.id, found.id) == (window.id, watermark.id, window.id)

    def test_jobs_of_other_streams_are_not_seen(self, backend: "AbstractBackend") -> None:
        job = backend.create_stream_job(KEY, "full_refresh")
        backend.update_stream_job_status(job.id, JobStatus.SUCCEEDED)
        assert backend.get_last_stream_job(OTHER_STREAM) is None
        assert backend.get_last_successful_stream_job(OTHER_STREAM) is None

    @pytest.mark.parametrize("total", [0, 5_000_000_000])
    def test_the_total_is_noted(self, backend: "AbstractBackend", total: int) -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        backend.set_total_records(job_id, total)
        assert _found(backend, job_id).total_records_to_fetch == total

    def test_each_start_of_a_job_is_a_new_epoch(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        assert [backend.open_epoch(job_id) for _ in range(3)] == [1, 2, 3]
        assert _found(backend, job_id).attempt == 3
        backend.check_epoch(job_id, 3)

    def test_a_superseded_run_notices_and_cannot_set_the_status(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        superseded, current = backend.open_epoch(job_id), backend.open_epoch(job_id)
        with pytest.raises(OvertakenError):
            backend.check_epoch(job_id, superseded)
        backend.update_stream_job_status(job_id, JobStatus.RUNNING, epoch=current)
        backend.update_stream_job_status(job_id, JobStatus.FAILED, "too late", epoch=superseded)
        found = _found(backend, job_id)
        assert (found.status, found.error_message) == (JobStatus.RUNNING, None)

    def test_each_start_of_a_role_is_an_epoch_and_the_producers_is_known(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        starts = [Role.PRODUCER, Role.CONSUMER, Role.CONSUMER, Role.PRODUCER, None, Role.CONSUMER]
        known = []
        for role in starts:
            backend.open_epoch(job_id, role)
            known.append(_found(backend, job_id).producer_epoch)
        assert known == [1, 1, 1, 4, 5, 5]
        assert _found(backend, job_id).attempt == len(starts)

    def test_a_producer_can_set_the_status_until_another_one_starts(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        producer, _ = backend.open_epoch(job_id, Role.PRODUCER), backend.open_epoch(job_id, Role.CONSUMER)
        backend.update_stream_job_status(job_id, JobStatus.FAILED, "the API is down", epoch=producer)
        assert _found(backend, job_id).error_message == "the API is down"
        backend.open_epoch(job_id, Role.PRODUCER)
        backend.update_stream_job_status(job_id, JobStatus.FAILED, "too late", epoch=producer)
        assert _found(backend, job_id).error_message == "the API is down"

    def test_a_job_that_has_succeeded_can_no_longer_fail(self, backend: "AbstractBackend") -> None:
        """A producer may fail after the consumer has published. Such a job was once resumed, and fetched nothing
        new."""
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        producer, consumer = (backend.open_epoch(job_id, role) for role in (Role.PRODUCER, Role.CONSUMER))
        for epoch in (consumer, producer):
            backend.update_stream_job_status(job_id, JobStatus.SUCCEEDED, epoch=epoch)
            backend.update_stream_job_status(job_id, JobStatus.FAILED, "too late", epoch=epoch)
            found = _found(backend, job_id)
            assert (found.status, found.error_message) == (JobStatus.SUCCEEDED, None)

    def test_the_output_of_a_job_is_noted_by_its_current_start_alone(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "incremental").id
        first, second = backend.open_epoch(job_id), backend.open_epoch(job_id)
        assert _found(backend, job_id).output is None
        backend.note_output(job_id, {"place": "Zo\u00eb"}, epoch=second)
        backend.note_output(job_id, {"place": "elsewhere"}, epoch=first)
        assert _found(backend, job_id).output == {"place": "Zo\u00eb"}

    def test_the_window_of_a_job_comes_back_as_it_was(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "incremental").id
        assert _found(backend, job_id).window is None
        window = (datetime(2024, 2, 29, 12, 30, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
        backend.note_window(job_id, window)
        assert _found(backend, job_id).window == window

    def test_a_reset_waits_for_a_job_and_belongs_to_it(self, backend: "AbstractBackend") -> None:
        backend.request_stream_reset(KEY)
        backend.request_stream_reset(KEY)
        assert backend.has_pending_reset(KEY)
        assert not backend.has_pending_reset(OTHER_STREAM)
        ours, other = (backend.create_stream_job(KEY, "full_refresh").id for _ in range(2))
        backend.bind_stream_reset(KEY, ours)
        assert not backend.has_pending_reset(KEY)
        backend.bind_stream_reset(KEY, other)
        assert (backend.is_reset(ours), backend.is_reset(other)) == (True, False)

    def test_a_reset_that_is_withdrawn_no_longer_waits(self, backend: "AbstractBackend") -> None:
        bound = backend.create_stream_job(KEY, "incremental").id
        backend.request_stream_reset(KEY)
        backend.bind_stream_reset(KEY, bound)
        for key in (KEY, KEY, OTHER_STREAM):
            backend.request_stream_reset(key)
        for _ in range(2):
            backend.withdraw_stream_reset(KEY)
            assert not backend.has_pending_reset(KEY)
        assert backend.has_pending_reset(OTHER_STREAM)
        assert backend.is_reset(bound)
        backend.withdraw_stream_reset(OTHER_STREAM)

    def test_a_job_is_removed_with_its_reset_and_the_one_before_it_is_as_it_was(
        self, backend: "AbstractBackend"
    ) -> None:
        before = backend.create_stream_job(KEY, "incremental").id
        backend.update_stream_job_status(before, JobStatus.FAILED, "it broke")
        failed = _found(backend, before)
        backend.update_stream_job_status(before, JobStatus.CANCELED, "a full refresh was requested")
        backend.request_stream_reset(KEY)
        removed = backend.create_stream_job(KEY, "incremental").id
        backend.bind_stream_reset(KEY, removed)
        epoch = backend.open_epoch(removed)
        for _ in range(2):
            assert backend.remove_stream_job(removed, epoch=epoch, instead_of=failed)
            found, newest = _found(backend, before), backend.get_last_stream_job(KEY)
            assert (found.status, found.error_message) == (JobStatus.FAILED, "it broke")
            assert newest is not None
            assert newest.id == before
            assert not backend.is_reset(removed)
            assert not backend.has_pending_reset(KEY)
        backend.update_stream_job_status(before, JobStatus.RUNNING)
        backend.remove_stream_job(removed, epoch=epoch, instead_of=failed)
        assert _found(backend, before).status is JobStatus.RUNNING, "it was resumed since"

    @pytest.mark.parametrize("why", ["superseded", "committed", "fetched"])
    def test_a_job_that_is_in_use_is_not_removed(self, backend: "AbstractBackend", why: str) -> None:
        before = backend.create_stream_job(KEY, "incremental")
        backend.update_stream_job_status(before.id, JobStatus.CANCELED)
        backend.request_stream_reset(KEY)
        job_id = backend.create_stream_job(KEY, "incremental").id
        backend.bind_stream_reset(KEY, job_id)
        epoch = backend.open_epoch(job_id)
        if why == "superseded":
            backend.open_epoch(job_id)
        elif why == "committed":
            commit(backend, job_id, 0, 0, epoch=epoch)
        else:
            backend.create_source_cursor(job_id, KEY, 1, 5, {"page": 1})
        assert not backend.remove_stream_job(job_id, epoch=epoch, instead_of=before)
        assert _found(backend, job_id).id == job_id
        assert backend.is_reset(job_id)
        assert _found(backend, before.id).status is JobStatus.CANCELED

    def test_creating_the_tables_twice_is_harmless(self, backend: "AbstractBackend") -> None:
        job = backend.create_stream_job(KEY, "full_refresh")
        backend.create_all_tables()
        assert backend.check_prerequisites()
        assert backend.get_stream_job_by_id(job.id) == job

    def test_two_backends_share_one_state_and_each_is_closed_alone(self, backend: "AbstractBackend") -> None:
        with backend.beside() as other:
            job = other.create_stream_job(KEY, "full_refresh")
            assert backend.get_stream_job_by_id(job.id) == job
        other.close()
        assert backend.get_last_stream_job(KEY) == job

    def test_closing_twice_is_harmless(self, backend: "AbstractBackend") -> None:
        backend.close()
        backend.close()


def _found(backend: "AbstractBackend", job_id: str) -> StreamJob:
    job = backend.get_stream_job_by_id(job_id)
    assert job is not None
    return job
