"""A member of a stream, as its source sees it: it claims places, and hands them over."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.engine.partitions import ClaimedPlaces, Seat
    from bizon.engine.runner.members.settling import Settling


class Membership:
    """The ``Member`` of one start of a seat. Used on the thread that fetches."""

    def __init__(self, seat: "Seat", settling: "Settling") -> None:
        self._seat, self._settling, self._backend = seat, settling, settling.backend
        self._divide = settling.source.places_of
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
        """See ``Member.claim``. Also raises what settling raises."""
        self.write_all()
        while (claimed := self._claimed(places)).held_by:
            self._settling.settle(lambda: self._claimed(places).held_by)
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
        if self._settling.left_behind(self._seat):
            self._settling.settle(lambda: self._settling.left_behind(self._seat), free=True)
        ttl = self._settling.context.config.engine.runner.config.lease_ttl
        self._look_due = monotonic() + self._backend.heartbeat_interval(ttl)

    def _claimed(self, places: Sequence[str]) -> "ClaimedPlaces":
        return self._backend.claim_places(self._settling.job_id, self._seat, places, self._divide)

    def _release(self, places: Sequence[str] | None) -> None:
        self._backend.release_places(self._settling.job_id, self._seat, places, self._divide)
