"""To settle a seat: nobody writes as its member any more, and no row of it is without a checkpoint."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import OvertakenError
from bizon.common.waiting import rest
from bizon.engine.pipeline.failures import with_retries
from bizon.engine.pipeline.models import Progress
from bizon.engine.pipeline.run import Run
from bizon.engine.runner.joining.part_work import own_links
from bizon.engine.runner.writing import build_destination, opened_consumer
from bizon.source.callback import NoOpSourceCallback

if TYPE_CHECKING:
    from collections.abc import Iterable
    from threading import Event

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import DestinationCursor
    from bizon.engine.parts import Seat
    from bizon.engine.runner.models import RunContext
    from bizon.source.source import AbstractSource


class Settling(NamedTuple):
    """Settles the seats of a stream. ``context``: of its job; ``source``: its class, which knows what a place is."""

    backend: "AbstractBackend"
    context: "RunContext"
    source: "type[AbstractSource]"
    stopping: "Event"

    def seat(self, number: int, *, free: bool = False) -> None:
        """Settle a seat, and release its places. ``free``: it is known that no member holds it. Does nothing when
        somebody has opened another epoch of it meanwhile. Raises DestinationError, BackendError."""
        job_id = self.context.run.job_id
        seat = self.backend.supersede_seat(job_id, number)
        with suppress(OvertakenError):
            self._prepare(self.run_of(seat))
            self.backend.release_places(job_id, seat, None, self.source.places_of, free=free)

    def all_seats(self) -> None:
        """Settle every seat. Called by the command that holds the leases of the stream alone."""
        for state in self.backend.get_seats(self.context.run.job_id):
            if state.may_have_rows:
                self.seat(state.part.number, free=True)

    def chain(self) -> None:
        """The same for the rows of plain runs of the job."""
        job = self.context.run
        committed = [each for each in self.backend.committed(job.job_id).cursors if each.partition is None]
        self._prepare(job._replace(resume=replace(job.resume, last_iteration=_last_page(committed))))

    def run_of(self, seat: "Seat") -> Run:
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
        return Run(job.job_id, job.key, seat.epoch, seat.epoch, point)

    def _prepare(self, run: Run) -> None:
        """Let the destination take back what no checkpoint vouches for. A destination that takes no members has none of
        their rows: the configuration named another one then."""
        context, callback = replace(self.context, run=run), NoOpSourceCallback(self.context.config.source)
        monitor = context.new_monitor()
        destination = build_destination(context, self.backend, callback, monitor)
        refuses = run.part is not None and destination.refuses_members() is not None
        destination.close()
        if refuses:
            return

        def prepare() -> None:
            links = own_links(context, self.backend, self.stopping, Progress())  # nothing travels in its queue
            with opened_consumer(context, links, callback, monitor):
                pass

        with_retries(prepare, rest)


def _last_page(cursors: "Iterable[DestinationCursor]") -> int | None:
    return max((cursor.to_source_iteration for cursor in cursors), default=None)
