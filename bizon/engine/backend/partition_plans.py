"""The part of the state's interface that keeps the partitions of jobs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.engine.partitions import Partition


class PartitionPlans:
    """Part of ``AbstractBackend``, called by ``engine/runner/planning.py``. A backend that overrides nothing keeps no
    plan: with it, every job is one chain of pages."""

    def keep_partitions(self, job_id: str, plans: Sequence[dict[str, Any]], *, epoch: int) -> "tuple[Partition, ...]":
        """Keep the plan of a job: JSON objects, numbered from 0. Returns the partitions of the job. A plan that was
        kept before stays, and a job that has a cursor and no plan gets none. Raises OvertakenError when ``epoch`` is
        not the job's current one."""
        return ()

    def get_partitions(self, job_id: str) -> "tuple[Partition, ...]":
        """The partitions of a job, in order; none for a job that is one chain."""
        return ()
