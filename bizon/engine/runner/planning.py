"""The plan of a job whose stream several producers fetch: made once, kept in the state, handed out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import orjson

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.fetching import announce_total
from bizon.engine.runner.models import Share
from bizon.engine.runner.resuming import takes_partitions
from bizon.engine.runner.sources import opened_source
from bizon.engine.runner.workers import failure, guarded, status_of

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Partition
    from bizon.engine.pipeline.models import Progress
    from bizon.engine.pipeline.producer import StopFlag
    from bizon.engine.runner.models import RunContext

_MOST = 10_000  # partitions of a job: each checkpoint names those that are done


def planned(
    context: "RunContext", backend: "AbstractBackend", progress: "Progress", stop: "StopFlag"
) -> "RunContext | WorkerResult":
    """The context with the partitions of its job, and the number of producers that fetch them; or the result of a
    source that failed. A job that has committed a page keeps the plan that it has, or none."""
    if _needs_a_plan(context):
        made: list[RunContext] = []

        def plan() -> WorkerResult:
            made.append(_with_plan(context, backend, progress))
            return WorkerResult(PipelineReturnStatus.SUCCESS)

        def failed(error: BaseException) -> WorkerResult:
            return failure(context, error, status_of(error, PipelineReturnStatus.SOURCE_ERROR))

        result = guarded(backend, stop, plan, failed)
        if not result.is_success:
            return result
        context = made[0]
    if not context.run.partitions:
        return context
    _announce(context, backend, progress)
    return replace(context, producers=_producers(context))


def plan_parts(
    context: "RunContext", backend: "AbstractBackend", progress: "Progress", stop: "StopFlag"
) -> WorkerResult | None:
    """Let the source plan the parts of a joined job, unless it has some. A source that plans none has one part. Returns
    the result of a source that failed."""

    def plan() -> WorkerResult:
        with opened_source(context.config) as source:
            plans = _checked(source.get_partitions(), f"{source.config.name}.{source.config.stream}")
            announce_total(context, progress, backend, source)
        backend.keep_partitions(context.run.job_id, plans or [{}], epoch=context.run.epoch)
        return WorkerResult(PipelineReturnStatus.SUCCESS)

    def failed(error: BaseException) -> WorkerResult:
        return failure(context, error, status_of(error, PipelineReturnStatus.SOURCE_ERROR))

    if context.run.partitions:
        return None
    result = guarded(backend, stop, plan, failed)
    return None if result.is_success else result


def shares(context: "RunContext") -> list[Share]:
    """The work of each producer, in one process. ``max_iterations`` is divided: a producer that has nothing left to
    fetch leaves the rest of its part."""
    take = taker(context)
    return [Share(take, each) for each in parts_of_the_cap(context)]


def taker(context: "RunContext") -> "Callable[[], Partition | None]":
    """Hands out the partitions that are left, those first that have begun; any thread may call it."""
    left, lock = iter(context.run.positions.left), Lock()

    def take() -> "Partition | None":
        with lock:
            return next(left, None)

    return take


def parts_of_the_cap(context: "RunContext") -> Iterator[int | None]:
    """``max_iterations`` of each producer; None without one."""
    cap, producers = context.config.source.max_iterations, context.producers
    for number in range(producers):
        yield None if cap is None else cap // producers + (number < cap % producers)


def _producers(context: "RunContext") -> int:
    """One for each partition that is left, up to the configured number; each has to fetch a page."""
    config, left = context.config, len(context.run.positions.left)
    bounds = (config.engine.runner.config.max_parallel_partitions, left, config.source.max_iterations)
    return min(bound for bound in bounds if bound is not None)


def _announce(context: "RunContext", backend: "AbstractBackend", progress: "Progress") -> None:
    run, resume = context.run, context.run.resume
    logger.info(f"{len(run.positions.left)} of {len(run.partitions)} partitions are left")
    progress.resumes(resume.next_iteration, resume.rows_written + resume.dead_letters)
    job = backend.get_stream_job_by_id(run.job_id)
    progress.expect(None if job is None else job.total_records_to_fetch)


def _needs_a_plan(context: "RunContext") -> bool:
    config, run = context.config, context.run
    return (
        config.engine.runner.config.max_parallel_partitions > 1
        and takes_partitions(config)
        and not config.source.is_endless
        and context.incremental is None
        and run.resume.last_iteration is None
        and not run.partitions
    )


def _with_plan(context: "RunContext", backend: "AbstractBackend", progress: "Progress") -> "RunContext":
    with opened_source(context.config) as source:
        plans = _checked(source.get_partitions(), f"{source.config.name}.{source.config.stream}")
        if plans:
            announce_total(context, progress, backend, source)
    kept = backend.keep_partitions(context.run.job_id, plans, epoch=context.run.epoch)
    return replace(context, run=context.run._replace(partitions=kept), spool=None if kept else context.spool)


def _checked(plans: Any, stream: str) -> list[dict[str, Any]]:
    """The plan as the state keeps it. Raises SourceFetchError."""
    where = f"stream '{stream}': get_partitions must return a list of JSON objects"
    if not isinstance(plans, list) or not all(isinstance(plan, dict) for plan in plans):
        raise SourceFetchError(where)
    if len(plans) > _MOST:
        raise SourceFetchError(
            f"stream '{stream}': get_partitions returned {len(plans)}, more than {_MOST:,}: plan fewer"
        )
    try:
        return [orjson.loads(orjson.dumps(plan)) for plan in plans]
    except TypeError as error:
        raise SourceFetchError(f"{where}: {error}") from None
