"""The part of the state's interface that keeps the partitions of jobs, the leases of parts of joined jobs, and the
members of a stream: their seats, and who reads which place."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BackendError

if TYPE_CHECKING:
    from bizon.engine.backend.models import LeaseHolder
    from bizon.engine.partitions import (
        ClaimedPlaces,
        Divide,
        Partition,
        PartState,
        Seat,
        SeatState,
        TakenPart,
    )


class MemberSeats:
    """Part of ``AbstractBackend``, called by the modules of ``engine/runner/members/``. A seat is a part of a joined
    job (see ``PartitionPlans``) in sync mode ``stream``: it is renewed, given back and committed like one. A backend
    that overrides nothing takes no members, since it cannot mark a job as joined."""

    def take_seat(
        self,
        job_id: str,
        worker: "LeaseHolder",
        ttl: float,
        is_dead: "Callable[[LeaseHolder], bool]",
        instead_of: str | None = None,
    ) -> "Seat":
        """Take a seat for ``ttl`` seconds: the one of the claim ``instead_of`` if it is still held under that name,
        else the first one that nobody holds, whose lease has expired or whose member ``is_dead``, else a new one. Its
        epoch is one higher from then on, so nobody who held it before can commit. When several members try at once,
        each gets another seat."""
        raise BackendError("this state cannot keep the members of a stream: use backend type postgres")

    def supersede_seat(self, job_id: str, number: int) -> "Seat":
        """Open a new epoch of a seat, whoever holds it: its member commits nothing from now on."""
        raise BackendError("this state cannot keep the members of a stream: use backend type postgres")

    def claim_places(self, job_id: str, seat: "Seat", places: Sequence[str], divide: "Divide") -> "ClaimedPlaces":
        """Let places belong to a seat, unless another seat holds one of them. Raises OvertakenError when the epoch of
        the seat is not the current one."""
        raise BackendError("this state cannot keep the members of a stream: use backend type postgres")

    def release_places(
        self, job_id: str, seat: "Seat", places: Sequence[str] | None, divide: "Divide", *, free: bool = False
    ) -> None:
        """The member of a seat reads these places no longer; None: all of them. They still belong to the seat, with
        their last checkpoint, until another seat claims them. ``free``: nobody holds the seat any more either. Raises
        OvertakenError when the epoch of the seat is not the current one."""

    def note_member(self, job_id: str, number: int, note: dict[str, Any]) -> None:
        """Replace the note on how a member is doing, any JSON object, for display only."""

    def get_seats(self, job_id: str) -> "tuple[SeatState, ...]":
        """The seats of a stream, in order."""
        return ()

    def move_to_seats(self, job_id: str, divide: "Divide", *, epoch: int) -> None:
        """The places of the last checkpoint of the job go to a seat that nobody holds. Repeating it changes nothing.
        Raises OvertakenError when ``epoch`` is not the job's current one."""

    def move_to_chain(
        self,
        job_id: str,
        divide: "Divide",
        unite: "Callable[[dict[str, dict[str, Any]]], dict[str, Any]]",
        *,
        epoch: int,
    ) -> None:
        """The checkpoints of all places become the last checkpoint of the job, which is not joined any more. ``unite``:
        the pagination of several places. Raises OvertakenError when ``epoch`` is not the job's current one."""


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
