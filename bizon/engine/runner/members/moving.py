"""From a plain run of a stream to members of it, and back: all rows are settled, then all places move at once."""

from typing import TYPE_CHECKING

from bizon.engine.pipeline.run import Run
from bizon.engine.runner.members.settling import Settling
from bizon.engine.runner.opened_job import OpenedJob
from bizon.engine.runner.resuming import resume_point
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.runner.models import RunContext


def settling_of(backend: "AbstractBackend", context: "RunContext", stopping: "Event") -> Settling:
    """Settles the seats of the job of a context."""
    return Settling(backend, context, resolve_source_class(context.config.source), stopping)


def to_seats(backend: "AbstractBackend", context: "RunContext", stopping: "Event", *, is_new: bool) -> None:
    """Members may read the stream from now on. Called while this command holds the leases of the stream alone; when it
    dies in the middle, the next one does it again. ``is_new``: no run of the job has written anything."""
    settling = settling_of(backend, context, stopping)
    if not is_new:
        settling.chain()
        settling.all_seats()
    backend.move_to_seats(context.run.job_id, settling.source.places_of, epoch=context.run.epoch)


def to_chain(
    backend: "AbstractBackend",
    config: "BizonConfig",
    context_of: "Callable[[OpenedJob], RunContext]",
    stopping: "Event",
) -> None:
    """A run without --join may go on where the members have stopped, if there were any. Called like ``to_seats``."""
    found = opened_members(backend, config) if config.source.is_endless else None
    if found is None:
        return
    epoch = backend.open_epoch(found.job.id)  # no member claims the output any more
    run = found.run._replace(epoch=epoch, producer_epoch=epoch)
    settling = settling_of(backend, context_of(found._replace(run=run)), stopping)
    settling.all_seats()
    source = settling.source
    backend.move_to_chain(found.job.id, source.places_of, source.pagination_of, epoch=epoch)


def opened_members(backend: "AbstractBackend", config: "BizonConfig") -> OpenedJob | None:
    """The job of the stream, if its last runs were members; for one that did not open it."""
    job = backend.get_last_stream_job(config.stream_key)
    if job is None or not (job.is_joined and job.is_endless and job.is_resumable):
        return None
    resume = resume_point(backend, config, job, None, job.attempt)
    return OpenedJob(job, Run(job.id, job.key, job.attempt, job.producer_epoch, resume), None, replaces=False)
