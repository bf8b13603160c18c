"""Partitions: the plan of a job, kept for all its runs. A backend that keeps none passes, too."""

from typing import TYPE_CHECKING, Any

import pytest

from bizon.common.errors.errors import OvertakenError
from bizon.engine.backend.models import JobStatus
from bizon.testing.backend_fixtures import KEY, BackendFixtures, commit

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Partition

PLANS: list[dict[str, Any]] = [
    {},
    {"from": None, "to": [1, {"\u00e9": "\U0001f600"}]},
    {"text": "NUL \0, '\"\\", "big": 2**62},
]
MANY = 1_100


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


def _kept(backend: "AbstractBackend", job_id: str, plans: list[dict[str, Any]]) -> "tuple[Partition, ...]":
    """The plan as the backend keeps it. Skips the test of a backend that keeps none."""
    kept = backend.keep_partitions(job_id, plans, epoch=0)
    if not kept:
        pytest.skip("this backend keeps no partitions: every job is one chain of pages")
    return kept
