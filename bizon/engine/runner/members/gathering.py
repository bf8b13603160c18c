"""How a command becomes a member of a stream, and how the last one leaves it."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.engine.runner.jobs import open_job, reopen
from bizon.engine.runner.lease import SharedLease, held_by_one, one_at_a_time, shared_job_id
from bizon.engine.runner.members.moving import opened_members, to_seats
from bizon.engine.runner.members.seats import HeldSeat, has_members

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.parts import Seat
    from bizon.engine.runner.models import RunContext
    from bizon.engine.runner.opened_job import OpenedJob
    from bizon.engine.runner.windows import Scope


class Gathered(NamedTuple):
    """The job of a stream that this command has joined, and the lease that all its members hold together."""

    opened: "OpenedJob"
    lease: SharedLease


class Gathering(NamedTuple):
    """Begins the job of a stream, goes on with it, or joins its members."""

    backend: "AbstractBackend"
    config: "BizonConfig"
    scope: "Scope | None"
    stopping: "Event"
    context_of: "Callable[[OpenedJob], RunContext]"

    def joined(self) -> Gathered | None:
        """The stream, joined; None when the command is stopped before. Raises JobLockedError while a run without --join
        is in progress, and what settling raises."""
        with one_at_a_time(self.backend, self.config, "joining", self.stopping) as is_held:
            if not is_held:
                return None
            job_id, job = shared_job_id(self.backend, self.config), opened_members(self.backend, self.config)
            if job is None or job.job.id != job_id:
                return self._begun()
            lease = SharedLease(self.backend, self.config, job_id)
            lease.take()
            reopen(self.backend, job.job)
        job.log_start(wants_another=self.config.source.force_ignore_checkpoint)
        return Gathered(job, lease)

    def leave(self, gathered: Gathered, held: HeldSeat, seat: "Seat") -> None:
        """Give the seat back, and after the last member the lease of the stream: a run without --join may begin at
        once."""
        with one_at_a_time(self.backend, self.config, "joining", self.stopping) as is_held:
            held.leave(seat)
            if is_held and not has_members(self.backend, gathered.opened.run.job_id):
                gathered.lease.release()

    def _begun(self) -> Gathered:
        with held_by_one(self.backend, self.config) as holders:
            opened = open_job(self.backend, self.config, scope=self.scope, joined="")
            to_seats(self.backend, self.context_of(opened), self.stopping, is_new=not opened.job.attempt)
            lease = SharedLease(self.backend, self.config, opened.job.id)
            lease.take(instead_of=holders)
        return Gathered(opened, lease)
