"""The part of the state's interface that keeps the partitions of jobs, and the leases of parts of joined jobs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.member_seats import MemberSeats

if TYPE_CHECKING:
    from bizon.engine.backend.models import LeaseHolder
    from bizon.engine.partitions import Partition
    from bizon.engine.parts import PartState, TakenPart


class PartitionPlans(MemberSeats):
    """Part of ``AbstractBackend``, called by ``engine/runner/planning.py`` and, for joined jobs, by the modules of
    ``engine/runner/joining/``. A backend that overrides nothing keeps no plan: with it, every job is one chain of
    pages, and no job can be joined."""

    def keep_partitions(self, job_id: str, plans: Sequence[dict[str, Any]], *, epoch: int) -> "tuple[Partition, ...]":
        """Keep the plan of a job: JSON objects, numbered from 0. Returns the partitions of the job. A plan that was
        kept before stays, and a job that has a cursor and no plan gets none. Raises OvertakenError when ``epoch`` is
        not the job's current one."""
        return ()

    def get_partitions(self, job_id: str) -> "tuple[Partition, ...]":
        """The partitions of a job, in order; none for a job that is one chain."""
        return ()

    def join_job(self, job_id: str, *, epoch: int, name: str = "") -> None:
        """Mark a job as joined, once and for all: its parts are taken, committed and numbered on their own. ``name``:
        the one that its commands know it by. Raises OvertakenError when ``epoch`` is not the job's current one, and
        BackendError where that is impossible."""
        raise BackendError(
            "this state cannot keep the leases of parts: use backend type postgres, or sqlite on one host"
        )

    def take_part(
        self, job_id: str, worker: "LeaseHolder", ttl: float, is_dead: "Callable[[LeaseHolder], bool]"
    ) -> "TakenPart | None":
        """Take a part that is not done for ``ttl`` seconds: the first one that nobody holds, else one whose lease has
        expired or whose worker ``is_dead``. Its epoch is one higher from then on, so nobody who held it before can
        commit for it. None when there is none. When several workers try at once, each part goes to one of them."""
        return None

    def renew_part(self, job_id: str, claim: str, ttl: float) -> None:
        """Extend the lease of a part by ``ttl`` seconds from now, if it is still held under this name."""

    def give_back_part(self, job_id: str, claim: str) -> bool:
        """Let others take a part that is not done. False when it is no longer held under this name."""
        return False

    def count_parts_left(self, job_id: str) -> int:
        """How many parts of the job are not done. A part is done with the commit of its last page."""
        return 0

    def get_parts(self, job_id: str) -> "tuple[PartState, ...]":
        """The parts of a job, in order, for display."""
        return ()
