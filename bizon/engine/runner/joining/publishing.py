"""The end of a joined job: one command publishes it, the others learn of that."""

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

from bizon.engine.pipeline.models import PipelineReturnStatus, Progress, WorkerResult
from bizon.engine.runner.jobs import note_published
from bizon.engine.runner.joining.part_work import own_links
from bizon.engine.runner.joining.points import publishing_run
from bizon.engine.runner.lease import one_at_a_time
from bizon.engine.runner.workers import run_consumer

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.runner.models import RunContext

_SUCCESS = WorkerResult(PipelineReturnStatus.SUCCESS)


def published(context: "RunContext", backend: "AbstractBackend", stopping: Event) -> WorkerResult:
    """Publish the job, all parts of which are done, unless another command does or has. ``published`` of the result is
    true in the command that did it. A command that publishes and dies is replaced: another one that waits here finds
    the job unpublished."""
    while True:
        with one_at_a_time(backend, context.config, "publishing", stopping) as is_held:
            if not is_held:
                return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)
            if (over := _over(context, backend)) is not None:
                return over
            result = _publish(context, backend, stopping)
        if not result.overtaken:
            return result


def _publish(context: "RunContext", backend: "AbstractBackend", stopping: Event) -> WorkerResult:
    job = context.run
    epoch = backend.open_epoch(job.job_id)  # a command that was frozen while it published changes nothing any more
    run = publishing_run(job, epoch, backend.committed(job.job_id))
    context = replace(context, run=run)
    result = run_consumer(context, own_links(context, backend, stopping, Progress()))  # nothing travels in its queue
    if result.published:
        note_published(backend, run)
    return result


def _over(context: "RunContext", backend: "AbstractBackend") -> WorkerResult | None:
    """The result of a command whose job is over; None while it is not."""
    job = backend.get_stream_job_by_id(context.run.job_id)
    if job is not None and job.is_resumable:
        return None
    if job is not None and job.has_succeeded:
        return _SUCCESS
    error = "the job was cancelled or removed by another run"
    return WorkerResult(PipelineReturnStatus.BACKEND_ERROR, error=error, overtaken=True)
