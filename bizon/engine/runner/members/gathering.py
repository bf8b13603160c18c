"""How a command becomes a member of a stream, and how the last one leaves it."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.engine.runner.jobs import close_shared_job, open_job, reopen, shared_job
from bizon.engine.runner.joining.slots import HeldPart
from bizon.engine.runner.lease import SharedLease, held_by_one, is_dead, one_at_a_time, shared_job_id
from bizon.engine.runner.members.settling import Settling, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Seat
    from bizon.engine.runner.models import RunContext, RunnerStatus
    from bizon.engine.runner.opened_job import OpenedJob
    from bizon.engine.runner.windows import Scope


class HeldSeat(HeldPart):
    """The seat that a member holds, kept by heartbeats: see ``HeldPart.kept``."""

    def take_seat(self, instead_of: str | None) -> "Seat":
        """A seat that this process holds from now on, if possible the one that it holds by the claim ``instead_of``."""
        seat = self._backend.take_seat(self._job_id, self._worker, self._ttl, is_dead, instead_of)
        self._claim = seat.claim
        return seat

    def leave(self, seat: "Seat") -> None:
        """Let others take the seat, of which everything is committed."""
        self.forget()
        self._backend.give_back_part(self._job_id, seat.claim)


class Gathered(NamedTuple):
    """The job of a stream that this command has joined. ``lease``: all its members hold it together. ``held``: to take
    a seat."""

    opened: "OpenedJob"
    lease: SharedLease
    held: HeldSeat
    settling: Settling


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
            job_id, opened = shared_job_id(self.backend, self.config), self._found()
            if opened is None or opened.job.id != job_id:
                return self._begun()
            gathered = self._gathered(opened)
            gathered.lease.take()
            reopen(self.backend, opened.job)
        opened.log_start(wants_another=self.config.source.force_ignore_checkpoint)
        return gathered

    def leave(self, gathered: Gathered, seat: "Seat") -> None:
        """Give the seat back, and after the last member the lease of the stream: a run without --join may begin at
        once."""
        with one_at_a_time(self.backend, self.config, "joining", self.stopping) as is_held:
            gathered.held.leave(seat)
            if is_held and not self._has_members(gathered):
                gathered.lease.release()

    def close(self, gathered: Gathered, status: "RunnerStatus") -> None:
        """Write how a member ended. Its failure fails the stream once no other member is left."""
        job_id = gathered.opened.run.job_id
        close_shared_job(self.backend, job_id, status, goes_on=self._has_members(gathered))

    def end(self) -> None:
        """A run without --join may go on where members have stopped, if any have. Called while this command holds the
        leases of the stream alone."""
        found = self._found() if self.config.source.is_endless else None
        if found is not None:
            epoch = self.backend.open_epoch(found.job.id)  # no member claims the output any more
            run = found.run._replace(epoch=epoch, producer_epoch=epoch)
            self._gathered(found._replace(run=run)).settling.to_chain()

    def _found(self) -> "OpenedJob | None":
        """The job of the stream, if its last runs were members."""
        found = shared_job(self.backend, self.config)
        return found if found is not None and found.job.is_endless and found.job.is_resumable else None

    def _begun(self) -> Gathered:
        with held_by_one(self.backend, self.config) as holders:
            opened = open_job(self.backend, self.config, scope=self.scope, joined="")
            gathered = self._gathered(opened)
            gathered.settling.to_seats(is_new=not opened.job.attempt)
            gathered.lease.take(instead_of=holders)
        return gathered

    def _gathered(self, opened: "OpenedJob") -> Gathered:
        job_id, ttl = opened.job.id, self.config.engine.runner.config.lease_ttl
        lease, held = SharedLease(self.backend, self.config, job_id), HeldSeat(self.backend, job_id, ttl)
        return Gathered(opened, lease, held, Settling(self.backend, self.context_of(opened), self.stopping))

    def _has_members(self, gathered: Gathered) -> bool:
        return any(is_alive(seat.part) for seat in self.backend.get_seats(gathered.opened.job.id))
