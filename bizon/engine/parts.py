"""The parts of a joined job, which several commands share (``bizon run --join``), and the seats of a stream."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bizon.engine.backend.models import LeaseHolder


class TakenPart(NamedTuple):
    """A part of a joined job that a worker holds. ``plan``: as the source has planned it. ``epoch``: the number of this
    start of the part. ``claim``: the name of the lease."""

    number: int
    plan: dict[str, Any]
    epoch: int
    claim: str


class PartState(NamedTuple):
    """A part of a joined job in the state. ``holder``: its worker, None for a part that waits or is done;
    ``idle``: seconds since its last heartbeat; ``expires_in``: negative once its lease has expired."""

    number: int
    done: bool
    holder: "LeaseHolder | None" = None
    idle: float = 0.0
    expires_in: float = 0.0


Divide = Callable[[Mapping[str, Any]], Mapping[str, dict[str, Any]]]
"""Divides the pagination of a member into the paginations of its places, by name: ``AbstractSource.places_of``."""


class Seat(NamedTuple):
    """What a member of a stream holds. ``epoch``: the number of this start of the seat. ``claim``: the name of the
    lease; empty for a start that only settles the seat."""

    number: int
    epoch: int
    claim: str = ""


class SeatState(NamedTuple):
    """A seat in the state. ``places``: those that belong to it, with True for those that its member may still read.
    ``note``: how its member is doing, as it said last."""

    part: PartState
    places: Mapping[str, bool]
    note: dict[str, Any] | None = None

    @property
    def may_have_rows(self) -> bool:
        """Whether rows without a checkpoint may be left: nobody has settled the seat since a member held it."""
        return self.part.holder is not None or any(self.places.values())


class ClaimedPlaces(NamedTuple):
    """``held_by``: the other seats that hold some of the places, which then stay where they are. Otherwise the places
    belong to the seat that asked, and ``paginations`` are those that are known."""

    held_by: tuple[int, ...] = ()
    paginations: Mapping[str, dict[str, Any]] = {}
