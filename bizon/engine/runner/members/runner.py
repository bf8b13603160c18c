"""A member of a stream: ``bizon run config.yml --join`` in sync mode ``stream``.

Any number of commands, on any hosts, read one stream. The protocol of the source divides it among them; each of them
fetches, writes and commits on its own. See "Members of a stream" in docs/internals.md.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from bizon.common.safe_log import logger
from bizon.engine.runner.adapters.streaming import StreamingRunner
from bizon.engine.runner.members.membership import Membership

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Seat
    from bizon.engine.runner.members.gathering import Gathered, Gathering
    from bizon.engine.runner.models import RunnerStatus


class MemberRunner(StreamingRunner):
    """Reads the places that the source gives it, until it is stopped. When others have gone on with its places, it
    begins again, as if it had just been started."""

    is_alone = False

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
        gathering = self._gathering(backend)
        claim: str | None = None
        while (gathered := gathering.joined()) is not None:
            with gathered.lease.kept(), gathered.held.kept():
                seat = gathered.held.take_seat(claim)
                status = self._run_in(backend, gathering, gathered, seat)
                if not status.overtaken or self._stop_requested:
                    if status.is_success or status.interrupted:
                        gathering.leave(gathered, seat)
                    return self._ended_early(status.job_id) if status.overtaken else status
            claim = seat.claim
            logger.warning("This member was silent for so long that others went on with what it read; joining again")
        return self._ended_early("")

    def _run_in(
        self, backend: "AbstractBackend", gathering: "Gathering", gathered: "Gathered", seat: "Seat"
    ) -> "RunnerStatus":
        opened, settling = gathered.opened, gathered.settling
        self._membership = Membership(seat, settling)
        try:
            status = self._status(opened, self._work(replace(settling.context, run=settling.run_of(seat)), backend))
        except BaseException as error:
            gathering.close(gathered, self._interrupted(opened, error))
            raise
        gathering.close(gathered, status)
        return status
