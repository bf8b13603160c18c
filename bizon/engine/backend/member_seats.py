"""The part of the state's interface that keeps the members of a stream: their seats, and who reads which place."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BackendError

if TYPE_CHECKING:
    from bizon.engine.backend.models import LeaseHolder
    from bizon.engine.parts import ClaimedPlaces, Divide, Seat, SeatState


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
        """The last checkpoint of the job becomes that of the places of a seat, which nobody holds. Repeating it changes
        nothing. Raises OvertakenError when ``epoch`` is not the job's current one."""

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
