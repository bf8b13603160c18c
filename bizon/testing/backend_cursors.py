"""Cursors: the pages that a job has committed, and how far its source was read."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bizon.common.errors.errors import BackendError
from bizon.destination.models import CommittedBatch
from bizon.engine.backend.models import Committed, CursorStatus, DestinationCursor, JobStatus, SourcePosition
from bizon.testing.backend_fixtures import KEY, OTHER_STREAM, BackendFixtures, commit

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend

PAGINATIONS: list[dict[str, Any]] = [
    {},
    {"next": None, "more": True, "ids": [1, {"é": "😀"}]},
    {"text": "NUL \0, quotes '\"\\, a line\nbreak", "big": 2**62},
    {"token": "t" * 100_000},
]


class CursorBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    @pytest.fixture
    def job_id(self, backend: "AbstractBackend") -> str:
        """A job that has not started yet: its epoch is 0."""
        return backend.create_stream_job(KEY, "full_refresh").id

    def test_a_job_without_cursors_has_written_nothing(self, backend: "AbstractBackend", job_id: str) -> None:
        assert backend.committed(job_id) == Committed(())
        assert backend.get_last_cursor_by_job_id(job_id) is None
        assert backend.get_number_of_written_rows_for_job(job_id) == 0
        assert backend.committed(job_id).dead_letters == 0

    @pytest.mark.parametrize("pagination", PAGINATIONS, ids=["exhausted", "nested", "hostile", "long"])
    def test_a_pagination_comes_back_as_it_was(
        self, backend: "AbstractBackend", job_id: str, pagination: dict[str, Any]
    ) -> None:
        commit(backend, job_id, 0, 1, pagination=pagination)
        assert _last(backend, job_id).pagination == pagination

    def test_the_last_cursor_is_the_one_of_the_highest_page(self, backend: "AbstractBackend", job_id: str) -> None:
        for first, last, written in ((0, 9, 5), (10, 10, 0), (11, 100, 7)):
            commit(backend, job_id, first, last, written)
        cursor = _last(backend, job_id)
        assert (cursor.from_source_iteration, cursor.to_source_iteration, cursor.rows_written) == (11, 100, 7)

    def test_rows_and_dead_letters_add_up_beyond_32_bits(self, backend: "AbstractBackend", job_id: str) -> None:
        for page in range(3):
            commit(backend, job_id, page, page, rows=3_000_000_000, dead_letters=page)
        assert backend.get_number_of_written_rows_for_job(job_id) == 9_000_000_000
        assert backend.committed(job_id).dead_letters == 3

    def test_a_new_cursor_is_returned_as_it_is_found_again(self, backend: "AbstractBackend", job_id: str) -> None:
        commit(backend, job_id, 0, 2, rows=5)
        cursor = _last(backend, job_id)
        assert (cursor.job_id, cursor.from_source_iteration, cursor.rows_written) == (job_id, 0, 5)
        assert cursor.created_at.tzinfo is not None

    def test_every_cursor_of_a_job_is_listed_with_its_receipts(self, backend: "AbstractBackend", job_id: str) -> None:
        receipt = {"file": "Zo\u00eb", "size": 2**40, "checksum": 2**64 - 1}
        commit(backend, job_id, 0, 1, rows=5, receipt=receipt)
        commit(backend, job_id, 2, 2, rows=0, dead_letters=3, letters_receipt={"file": "letters"})
        first, second = backend.committed(job_id).cursors
        assert first.batch == CommittedBatch(0, 1, 5, receipt)
        assert first.letters == CommittedBatch(0, 1, 0, None)
        assert second.batch == CommittedBatch(2, 2, 0, None)
        assert second.letters == CommittedBatch(2, 2, 3, {"file": "letters"})

    @pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 4), (2, 2)])
    def test_a_page_is_committed_once(self, backend: "AbstractBackend", job_id: str, first: int, last: int) -> None:
        commit(backend, job_id, 0, 3)
        with pytest.raises(BackendError):
            commit(backend, job_id, first, last)
        assert backend.get_number_of_written_rows_for_job(job_id) == 1

    def test_a_superseded_run_cannot_commit(self, backend: "AbstractBackend", job_id: str) -> None:
        commit(backend, job_id, 0, 0, next_state={"at": 1})
        backend.open_epoch(job_id)
        with pytest.raises(BackendError, match="taken over by another run"):
            commit(backend, job_id, 1, 1, next_state={"at": 2})
        assert _last(backend, job_id).to_source_iteration == 0
        job = backend.get_stream_job_by_id(job_id)
        assert job is not None
        assert job.incremental_state == {"at": 1}

    def test_a_commit_without_a_state_keeps_the_one_before(self, backend: "AbstractBackend", job_id: str) -> None:
        commit(backend, job_id, 0, 0, next_state={"at": 1})
        commit(backend, job_id, 1, 1)
        job = backend.get_stream_job_by_id(job_id)
        assert job is not None
        assert job.incremental_state == {"at": 1}

    def test_cursors_of_other_jobs_are_not_seen(self, backend: "AbstractBackend", job_id: str) -> None:
        other = backend.create_stream_job(KEY, "full_refresh").id
        commit(backend, other, 0, 7, rows=9, dead_letters=1)
        assert backend.get_last_cursor_by_job_id(job_id) is None
        assert backend.get_number_of_written_rows_for_job(job_id) == 0
        assert backend.committed(job_id).dead_letters == 0

    def test_the_last_note_on_how_far_the_source_was_read_is_found(
        self, backend: "AbstractBackend", job_id: str
    ) -> None:
        assert backend.get_source_position(job_id) is None
        backend.create_source_cursor(job_id, KEY, 10, 3_000_000_000, {"page": 11})
        backend.create_source_cursor(job_id, KEY, 20, 6_000_000_000, {"page": 21})
        backend.create_source_cursor(job_id, KEY, 30, 9_000_000_000, {}, CursorStatus.PULLED)
        assert backend.get_source_position(job_id) in (None, SourcePosition(20, 6_000_000_000)), "it may keep none"
        assert backend.committed(job_id).last is None, "the notes are for display, nothing resumes from them"

    def test_only_the_last_of_long_paginations_is_kept(self, backend: "AbstractBackend", job_id: str) -> None:
        for page in range(3):
            commit(backend, job_id, page, page, pagination={"left": [page] * 10_000})
        assert [cursor.pagination for cursor in backend.committed(job_id).cursors][-1] == {"left": [2] * 10_000}
        assert sum(len(str(cursor.pagination)) for cursor in backend.committed(job_id).cursors) < 40_000

    def test_only_cursors_of_finished_jobs_are_pruned(self, backend: "AbstractBackend") -> None:
        ends = (JobStatus.SUCCEEDED, JobStatus.CANCELED, JobStatus.FAILED, JobStatus.SUCCEEDED)
        jobs = [backend.create_stream_job(KEY, "full_refresh").id for _ in ends]
        other = backend.create_stream_job(OTHER_STREAM, "full_refresh").id
        for job_id, status in zip([*jobs, other], [*ends, JobStatus.SUCCEEDED], strict=True):
            commit(backend, job_id, 0, 1)
            backend.create_source_cursor(job_id, KEY, 1, 1, {"page": 2})
            backend.update_stream_job_status(job_id, status)
        backend.prune_cursors(KEY, keep=jobs[3:])
        left = [len(backend.committed(job_id).cursors) for job_id in (*jobs, other)]
        assert left == [0, 0, 1, 1, 1]

    def test_threads_share_one_backend(self, backend: "AbstractBackend") -> None:
        pages = self.rounds // 2

        def work(_worker: int) -> int:
            job_id = backend.create_stream_job(KEY, "full_refresh").id
            for page in range(pages):
                commit(backend, job_id, page, page)
                backend.create_source_cursor(job_id, KEY, page, page, {})
            return backend.get_number_of_written_rows_for_job(job_id)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [pages] * 4


def _last(backend: "AbstractBackend", job_id: str) -> DestinationCursor:
    cursor = backend.get_last_cursor_by_job_id(job_id)
    assert cursor is not None
    return cursor
