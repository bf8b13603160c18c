"""How a command comes to work on a joined job: it begins one, goes on with an unfinished one, or joins others."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import OvertakenError
from bizon.common.safe_log import logger
from bizon.engine.runner.jobs import open_job, reopen, shared_job
from bizon.engine.runner.lease import SharedLease, held_by_one, one_at_a_time, shared_job_id
from bizon.engine.runner.planning import plan_parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import StreamJob
    from bizon.engine.pipeline.models import Progress, WorkerResult
    from bizon.engine.runner.models import RunContext
    from bizon.engine.runner.opened_job import OpenedJob
    from bizon.engine.runner.windows import Scope


class Joined(NamedTuple):
    """A job that this command works on together with others. ``failed``: its source could not plan it."""

    opened: "OpenedJob"
    lease: SharedLease
    failed: "WorkerResult | None" = None


class Opening(NamedTuple):
    """Begins a job, or joins one. ``name``: given to all commands of one job, or empty.
    ``context_of``: the context of the run of a job."""

    backend: "AbstractBackend"
    config: "BizonConfig"
    scope: "Scope | None"
    name: str
    progress: "Progress"
    stopping: "Event"
    context_of: "Callable[[OpenedJob], RunContext]"

    def joined(self) -> Joined | None:
        """The job, and the lease that all who join it hold together; None when the command is stopped before. A job
        with the name of this command is the one to join also when it is published. Raises JobLockedError while a run
        without --join is in progress, and ConfigError for a job that cannot be joined."""
        while True:
            try:
                return self._joined()
            except OvertakenError as error:  # this command was frozen while it began the job, and another has begun it
                logger.debug(str(error))

    def _joined(self) -> Joined | None:
        with one_at_a_time(self.backend, self.config, "joining", self.stopping) as is_held:
            if not is_held:
                return None
            job_id, opened = shared_job_id(self.backend, self.config), shared_job(self.backend, self.config)
            if opened is not None and self._has_published(opened.job):
                return Joined(opened, SharedLease(self.backend, self.config, opened.job.id))
            if opened is None or opened.job.id != job_id or not opened.job.is_resumable:
                return self._begun()
            lease = SharedLease(self.backend, self.config, opened.job.id)
            lease.take()
            reopen(self.backend, opened.job)
        everything = self.scope is not None and self.scope.everything
        opened.log_start(wants_another=self.config.source.force_ignore_checkpoint or everything)
        return Joined(opened, lease)

    def _has_published(self, job: "StreamJob") -> bool:
        return bool(self.name) and job.joined == self.name and job.has_succeeded

    def _begun(self) -> Joined:
        """Begin a job, or go on with one that nobody works on."""
        with held_by_one(self.backend, self.config) as holders:
            opened = open_job(self.backend, self.config, scope=self.scope, joined=self.name)
            lease = SharedLease(self.backend, self.config, opened.job.id)
            failed = plan_parts(self.context_of(opened), self.backend, self.progress, self.stopping)
            if failed is not None and failed.overtaken:
                raise OvertakenError(opened.job.id)
            if failed is None:
                partitions = self.backend.get_partitions(opened.job.id)
                opened = opened._replace(run=opened.run._replace(partitions=partitions))
                lease.take(instead_of=holders)
        return Joined(opened, lease, failed)
