"""A member of a stream, as its source sees it: it claims places, and hands them over."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import StoppedError
from bizon.engine.runner.lease import is_dead, one_at_a_time

if TYPE_CHECKING:
    from bizon.engine.parts import ClaimedPlaces, Seat
    from bizon.engine.runner.members.settling import Settling


class Membership:
    """The ``Member`` of one start of a seat. Used on the thread that fetches."""

    def __init__(self, seat: "Seat", settling: "Settling") -> None:
        self._seat, self._settling = seat, settling
        self._backend, self._job_id = settling.backend, settling.context.run.job_id
        self._write: Callable[[], None] | None = None
        self._has_failed = False
        self._look_due = 0.0

    @contextmanager
    def attached(self, write: Callable[[], None]) -> Iterator[None]:
        """Within: the member reads, and ``write`` writes and commits what it has read. Its destination is prepared.
        After an error the places stay held: what was written is then taken back before others go on with them."""
        self._release(None)
        self._write = write
        try:
            yield
        except BaseException:
            self._has_failed = True
            raise
        finally:
            self._write = None

    def claim(self, places: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """See ``Member.claim``. Also raises what settling raises, and StoppedError."""
        self.write_all()
        while (claimed := self._claimed(places)).held_by:
            with self._alone():
                for number in self._claimed(places).held_by:
                    self._settling.seat(number)
        return claimed.paginations

    def write_all(self) -> None:
        """See ``Member.write_all``."""
        if self._write is not None:
            self._write()

    def release(self, places: Sequence[str]) -> None:
        """See ``Member.release``."""
        if not self._has_failed:
            self._release(places)

    def tend(self) -> None:
        """Settle the seats that members have left behind, now and then. Called after each page."""
        if monotonic() < self._look_due:
            return
        ttl = self._settling.context.config.engine.runner.config.lease_ttl
        if self._left_behind():
            with self._alone():
                for number in self._left_behind():
                    self._settling.seat(number, free=True)
        self._look_due = monotonic() + self._backend.heartbeat_interval(ttl)

    def _left_behind(self) -> list[int]:
        """The seats whose member is dead, or silent for longer than its lease."""
        parts = (state.part for state in self._backend.get_seats(self._job_id))
        return [
            part.number
            for part in parts
            if part.holder is not None
            and part.number != self._seat.number
            and (part.expires_in <= 0 or is_dead(part.holder))
        ]

    def _claimed(self, places: Sequence[str]) -> "ClaimedPlaces":
        return self._backend.claim_places(self._job_id, self._seat, places, self._settling.source.places_of)

    def _release(self, places: Sequence[str] | None) -> None:
        self._backend.release_places(self._job_id, self._seat, places, self._settling.source.places_of)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within: no other member settles a seat."""
        config, stopping = self._settling.context.config, self._settling.stopping
        with one_at_a_time(self._backend, config, "settling", stopping) as is_held:
            if not is_held:
                raise StoppedError
            yield
