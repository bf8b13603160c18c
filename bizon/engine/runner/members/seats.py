"""The seat that a member holds, kept by heartbeats."""

from typing import TYPE_CHECKING

from bizon.engine.runner.joining.slots import HeldPart
from bizon.engine.runner.lease import is_dead

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.parts import Seat


class HeldSeat(HeldPart):
    """See ``HeldPart.kept``."""

    def take_seat(self, instead_of: str | None) -> "Seat":
        """A seat that this process holds from now on, if possible the one that it holds by the claim ``instead_of``."""
        seat = self._backend.take_seat(self._job_id, self._worker, self._ttl, is_dead, instead_of)
        self._claim = seat.claim
        return seat

    def leave(self, seat: "Seat") -> None:
        """Let others take the seat, of which everything is committed."""
        self.forget()
        self._backend.give_back_part(self._job_id, seat.claim)


def has_members(backend: "AbstractBackend", job_id: str) -> bool:
    """Whether a member of the stream may be alive."""
    parts = (state.part for state in backend.get_seats(job_id))
    return any(part.holder is not None and part.expires_in > 0 and not is_dead(part.holder) for part in parts)
