"""Partitions: the plan of a job, kept for all its runs. A backend that keeps none passes, too."""

from typing import TYPE_CHECKING, Any

import pytest

from bizon.common.errors.errors import BackendError, OvertakenError, SourceFetchError
from bizon.engine.backend.models import JobStatus
from bizon.testing.backend_fixtures import KEY, BackendFixtures, alive, commit, dead, holder

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Partition, TakenPart

PLANS: list[dict[str, Any]] = [
    {},
    {"from": None, "to": [1, {"\u00e9": "\U0001f600"}]},
    {"text": "NUL \0, '\"\\", "big": 2**62},
]
MANY = 1_100
HOUR = 3600.0


class PartitionBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    def test_a_job_without_a_plan_has_no_partitions(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        assert backend.get_partitions(job_id) == ()
        assert backend.keep_partitions(job_id, [], epoch=0) == ()

    def test_a_plan_comes_back_as_it_was(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        kept = _kept(backend, job_id, PLANS)
        assert kept == tuple(enumerate(PLANS))
        assert backend.get_partitions(job_id) == kept

    def test_a_long_plan_is_kept_in_its_order(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        kept = _kept(backend, job_id, [{"n": number} for number in range(MANY)])
        assert [(each.number, each.plan["n"]) for each in kept] == [(number, number) for number in range(MANY)]

    def test_the_first_plan_of_a_job_stays(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        kept = _kept(backend, job_id, PLANS)
        assert backend.keep_partitions(job_id, [{"another": 1}], epoch=0) == kept
        assert backend.keep_partitions(job_id, [], epoch=0) == kept

    def test_a_job_that_has_begun_as_one_chain_stays_one(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        commit(backend, job_id, 0, 3)
        assert backend.keep_partitions(job_id, PLANS, epoch=0) == ()
        assert backend.get_partitions(job_id) == ()

    def test_a_superseded_run_cannot_keep_a_plan(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        _kept(backend, backend.create_stream_job(KEY, "full_refresh").id, PLANS)
        backend.open_epoch(job_id)
        with pytest.raises(OvertakenError):
            backend.keep_partitions(job_id, PLANS, epoch=0)
        assert backend.get_partitions(job_id) == ()

    def test_a_removed_job_leaves_no_plan(self, backend: "AbstractBackend") -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        _kept(backend, job_id, PLANS)
        assert not backend.remove_stream_job(job_id, epoch=7)
        assert len(backend.get_partitions(job_id)) == len(PLANS), "it was not removed"
        assert backend.remove_stream_job(job_id, epoch=0)
        assert backend.get_partitions(job_id) == ()

    def test_plans_of_finished_jobs_are_pruned_with_their_cursors(self, backend: "AbstractBackend") -> None:
        jobs = [backend.create_stream_job(KEY, "full_refresh").id for _ in range(3)]
        for job_id, status in zip(jobs, (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED), strict=True):
            _kept(backend, job_id, PLANS)
            backend.update_stream_job_status(job_id, status)
        backend.prune_cursors(KEY, keep=jobs[2:])
        assert [len(backend.get_partitions(job_id)) for job_id in jobs] == [0, len(PLANS), len(PLANS)]


class PartBehaviours(BackendFixtures):
    """The leases of parts, for a backend whose jobs several commands may join. Claim it next to
    ``SharedBackendConformance``."""

    def test_each_part_goes_to_one_worker(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS)
        taken = [_take(backend, job_id, str(number)) for number in range(len(PLANS))]
        assert [(part.number, part.plan) for part in taken] == list(enumerate(PLANS))
        assert backend.take_part(job_id, holder("late"), HOUR, alive) is None
        assert backend.count_parts_left(job_id) == len(PLANS)

    def test_a_part_is_done_with_the_commit_of_its_last_page(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS)
        part = _take(backend, job_id)
        _commit(backend, job_id, part, 0, pagination={"page": 1})
        assert backend.count_parts_left(job_id) == len(PLANS)
        _commit(backend, job_id, part, 1, pagination={})
        assert backend.count_parts_left(job_id) == len(PLANS) - 1
        assert not backend.give_back_part(job_id, part.claim)
        assert [each.done for each in backend.get_parts(job_id)] == [True, False, False]
        assert _take(backend, job_id).number != part.number

    def test_the_pages_of_each_part_are_a_chain_of_their_own(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS)
        first, second = _take(backend, job_id), _take(backend, job_id)
        for part in (second, first, second):
            last = len(backend.committed(job_id, part.number).cursors)
            _commit(backend, job_id, part, last, rows=part.number + 1)
        with pytest.raises(BackendError, match="committed already"):
            _commit(backend, job_id, second, 1)
        pages = [(each.partition, each.to_source_iteration) for each in backend.committed(job_id).cursors]
        assert pages == [(0, 0), (1, 0), (1, 1)]
        assert backend.committed(job_id, second.number).rows_written == 4

    def test_a_part_that_is_given_back_is_taken_by_another(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS[:1])
        part = _take(backend, job_id)
        assert backend.give_back_part(job_id, part.claim)
        again = _take(backend, job_id)
        assert (again.number, again.epoch) == (part.number, part.epoch + 1)

    @pytest.mark.parametrize("how", ["expired", "dead"])
    def test_a_worker_whose_part_was_taken_over_commits_nothing_any_more(
        self, backend: "AbstractBackend", how: str
    ) -> None:
        job_id = _joined(backend, PLANS[:1])
        part = _take(backend, job_id, ttl=-1 if how == "expired" else HOUR)
        again = backend.take_part(job_id, holder("other"), HOUR, dead if how == "dead" else alive)
        assert again is not None
        with pytest.raises(OvertakenError):
            _commit(backend, job_id, part, 0)
        assert not backend.give_back_part(job_id, part.claim), "it is the part of another worker now"
        _commit(backend, job_id, again, 0, pagination={})
        with pytest.raises(OvertakenError):
            _commit(backend, job_id, part, 0)

    def test_a_part_that_is_renewed_is_kept(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS[:1])
        part = _take(backend, job_id, ttl=-1)
        backend.renew_part(job_id, part.claim, HOUR)
        assert backend.take_part(job_id, holder("other"), HOUR, alive) is None
        (state,) = backend.get_parts(job_id)
        assert state.holder is not None
        assert (state.holder.host, state.expires_in > 0) == ("host of worker", True)

    @pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.CANCELED])
    def test_nothing_is_committed_for_a_job_that_is_over(self, backend: "AbstractBackend", status: JobStatus) -> None:
        job_id = _joined(backend, PLANS)
        part = _take(backend, job_id)
        backend.update_stream_job_status(job_id, status)
        with pytest.raises(OvertakenError):
            _commit(backend, job_id, part, 0)

    def test_parts_of_a_job_have_one_next_state(self, backend: "AbstractBackend") -> None:
        job_id, state = _joined(backend, PLANS), {"token": 1, "at": "noon"}
        first, second = _take(backend, job_id), _take(backend, job_id)
        _commit(backend, job_id, first, 0, next_state={"token": 0})
        _commit(backend, job_id, first, 1, next_state=state)
        _commit(backend, job_id, second, 0, next_state={"at": "noon", "token": 1})
        _commit(backend, job_id, second, 1)
        with pytest.raises(SourceFetchError, match=f"next_state differs from the one of partition {first.number};"):
            _commit(backend, job_id, second, 2, next_state={"token": 2})
        job = backend.get_stream_job_by_id(job_id)
        assert job is not None
        assert job.incremental_state == state
        assert len(backend.committed(job_id, second.number).cursors) == 2

    def test_a_superseded_run_joins_no_job(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS)
        backend.open_epoch(job_id)
        with pytest.raises(OvertakenError):
            backend.join_job(job_id, epoch=0)
        job = backend.get_stream_job_by_id(job_id)
        assert job is not None
        assert job.is_joined

    def test_the_state_of_a_page_is_noted_on_the_job(self, backend: "AbstractBackend") -> None:
        job_id = _joined(backend, PLANS)
        _commit(backend, job_id, _take(backend, job_id), 0, next_state={"token": 7})
        job = backend.get_stream_job_by_id(job_id)
        assert job is not None
        assert job.incremental_state == {"token": 7}


def _kept(backend: "AbstractBackend", job_id: str, plans: list[dict[str, Any]]) -> "tuple[Partition, ...]":
    """The plan as the backend keeps it. Skips the test of a backend that keeps none."""
    kept = backend.keep_partitions(job_id, plans, epoch=0)
    if not kept:
        pytest.skip("this backend keeps no partitions: every job is one chain of pages")
    return kept


def _joined(backend: "AbstractBackend", plans: list[dict[str, Any]]) -> str:
    """A job that several commands share."""
    job_id = backend.create_stream_job(KEY, "full_refresh").id
    _kept(backend, job_id, plans)
    backend.join_job(job_id, epoch=0)
    return job_id


def _take(backend: "AbstractBackend", job_id: str, name: str = "worker", ttl: float = HOUR) -> "TakenPart":
    part = backend.take_part(job_id, holder(name), ttl, alive)
    assert part is not None
    return part


def _commit(backend: "AbstractBackend", job_id: str, part: "TakenPart", page: int, **values: Any) -> None:
    commit(backend, job_id, page, page, epoch=part.epoch, partition=part.number, **values)
