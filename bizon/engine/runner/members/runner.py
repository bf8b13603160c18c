"""A member of a stream: ``bizon run config.yml --join`` in sync mode ``stream``.

Any number of commands, on any hosts, read one stream. The protocol of the source divides it among them; each of them
fetches, writes and commits on its own. See "Members of a stream" in docs/internals.md.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger
from bizon.engine.runner.adapters.streaming import StreamingRunner
from bizon.engine.runner.jobs import close_shared_job
from bizon.engine.runner.members.gathering import Gathered, Gathering
from bizon.engine.runner.members.membership import Membership
from bizon.engine.runner.members.moving import settling_of
from bizon.engine.runner.members.seats import HeldSeat, has_members

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.parts import Seat
    from bizon.engine.runner.models import RunnerStatus


class MemberRunner(StreamingRunner):
    """Reads the places that the source gives it, until it is stopped. When others have gone on with its places, it
    begins again, as if it had just been started."""

    is_alone = False

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
        gathering = Gathering(backend, self.bizon_config, self.scope, self._stopping, self._context_of)
        claim: str | None = None
        while (gathered := gathering.joined()) is not None:
            held = HeldSeat(backend, gathered.opened.run.job_id, self.bizon_config.engine.runner.config.lease_ttl)
            with gathered.lease.kept(), held.kept():
                seat = held.take_seat(claim)
                status = self._run_in(backend, gathered, seat)
                if not self._goes_on(status):
                    if status.is_success or status.interrupted:
                        gathering.leave(gathered, held, seat)
                    return status
            claim = seat.claim
            logger.warning("This member was silent for so long that others went on with what it read; joining again")
        return self._ended_early("")

    def _run_in(self, backend: "AbstractBackend", gathered: Gathered, seat: "Seat") -> "RunnerStatus":
        opened, job_id = gathered.opened, gathered.opened.run.job_id
        settling = settling_of(backend, self._context_of(opened), self._stopping)
        self._membership = Membership(seat, settling)
        try:
            status = self._status(opened, self._work(replace(settling.context, run=settling.run_of(seat)), backend))
        except BaseException as error:
            status = self._interrupted(opened, error)
            close_shared_job(backend, job_id, status, goes_on=has_members(backend, job_id))
            raise
        close_shared_job(backend, job_id, status, goes_on=has_members(backend, job_id))
        return status

    def _goes_on(self, status: "RunnerStatus") -> bool:
        return status.overtaken and not self._stop_requested
