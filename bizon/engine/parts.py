"""The parts of a joined job, which several commands share (``bizon run --join``)."""

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
