"""To settle a seat: nobody writes as its member any more, and no row of it is without a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import OvertakenError, StoppedError
from bizon.engine.runner.lease import is_dead, one_at_a_time
from bizon.engine.runner.writing import settle
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import DestinationCursor
    from bizon.engine.partitions import PartState, Seat
    from bizon.engine.pipeline.run import Run
    from bizon.engine.runner.models import RunContext
    from bizon.source.source import AbstractSource


class Settling(NamedTuple):
    """Settles the seats of a stream. ``context``: of its job."""

    backend: "AbstractBackend"
    context: "RunContext"
    stopping: "Event"

    @property
    def source(self) -> "type[AbstractSource]":
        """The class of the source, which knows what a place is."""
        return resolve_source_class(self.context.config.source)

    @property
    def job_id(self) -> str:
        """The job of the stream."""
        return self.context.run.job_id

    def settle(self, numbers: "Callable[[], Iterable[int]]", *, free: bool = False) -> None:
        """Settle seats, and release their places; one command at a time does that. ``numbers``: which, once it is this
        command's turn. ``free``: it is known that no member holds them. Raises DestinationError, BackendError, and
        StoppedError when the run is stopped before."""
        with self._in_turn():
            for number in numbers():
                self._seat(number, free=free)

    def left_behind(self, but: "Seat") -> list[int]:
        """The seats whose member is dead, or silent for longer than its lease."""
        parts = (state.part for state in self.backend.get_seats(self.job_id))
        return [part.number for part in parts if part.holder and not is_alive(part) and part.number != but.number]

    def to_seats(self, *, is_new: bool) -> None:
        """Members may read the stream from now on, where plain runs have stopped. Called by the command that holds the
        leases of the stream alone; when it dies in the middle, the next one does it again. ``is_new``: no run of the
        job has written anything."""
        if not is_new:
            self._chain()
            self._all_seats()
        self.backend.move_to_seats(self.job_id, self.source.places_of, epoch=self.context.run.epoch)

    def to_chain(self) -> None:
        """A plain run may go on where the members have stopped. Called like ``to_seats``."""
        self._all_seats()
        source, epoch = self.source, self.context.run.epoch
        self.backend.move_to_chain(self.job_id, source.places_of, source.pagination_of, epoch=epoch)

    def run_of(self, seat: "Seat") -> "Run":
        """A start of a seat, after what the seat has committed."""
        job = self.context.run
        committed = self.backend.committed(job.job_id, seat.number)
        point = replace(
            job.resume,
            last_iteration=_last_page(committed.cursors),
            rows_written=committed.rows_written,
            dead_letters=committed.dead_letters,
            epoch=seat.epoch,
            partition=seat.number,
            job_epoch=job.epoch,
        )
        return job._replace(epoch=seat.epoch, producer_epoch=seat.epoch, resume=point)

    def _seat(self, number: int, *, free: bool) -> None:
        """Does nothing when somebody has opened another epoch of the seat meanwhile."""
        seat = self.backend.supersede_seat(self.job_id, number)
        with suppress(OvertakenError):
            self._prepare(self.run_of(seat))
            self.backend.release_places(self.job_id, seat, None, self.source.places_of, free=free)

    def _all_seats(self) -> None:
        for state in self.backend.get_seats(self.job_id):
            if state.may_have_rows:
                self._seat(state.part.number, free=True)

    def _chain(self) -> None:
        """Settle the rows of plain runs."""
        job = self.context.run
        committed = [each for each in self.backend.committed(job.job_id).cursors if each.partition is None]
        self._prepare(job._replace(resume=replace(job.resume, last_iteration=_last_page(committed))))

    def _prepare(self, run: "Run") -> None:
        settle(replace(self.context, run=run), self.backend)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        with one_at_a_time(self.backend, self.context.config, "settling", self.stopping) as is_held:
            if not is_held:
                raise StoppedError
            yield


def is_alive(part: "PartState") -> bool:
    """Whether a member holds a seat, and may be alive."""
    return part.holder is not None and part.expires_in > 0 and not is_dead(part.holder)


def _last_page(cursors: "Iterable[DestinationCursor]") -> int | None:
    return max((cursor.to_source_iteration for cursor in cursors), default=None)
