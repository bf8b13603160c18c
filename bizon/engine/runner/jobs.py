"""Opening, resuming and closing a job. The only place that writes a job's status.

| newest job of the stream        | its last cursor      | action                              |
|---------------------------------|----------------------|-------------------------------------|
| none, SUCCEEDED or CANCELED     | -                    | new job, page 0                     |
| STARTED, RUNNING or FAILED      | none                 | same job, page 0                    |
| same                            | pagination not empty | same job, the page after the cursor |
| same                            | pagination empty     | same job, publish only              |
| same, but it must not continue  | -                    | cancel it, new job                  |
| killed, incremental, ignored    | pagination empty     | publish only, then a new job        |

The last line: a fresh start or a reset would cancel a job whose output may be published already, and a later job would
append its window again. A job that failed to publish is cancelled. Jobs for a window of the past: see ``windows.py``.

A job must not continue when a reset was requested, when ``force_ignore_checkpoint`` is set, when its sync mode is not
the configured one, when it was planned in partitions that this run cannot fetch, when it is a full_refresh older than
``checkpoint_max_age``, or when it is incremental, has pages left to fetch, and its last checkpoint is older. The window
of the last one then starts over, where the last succeeded job ended. A new job inherits the reset of the job it
replaces.

A consumer that runs apart from its producer opens no job of its own: it joins the newest one, once its producer has
started. Each start of either role opens an epoch, and so overtakes an earlier start of the consumer.

A reset belongs to the job that is made for it: that job fetches everything and replaces the output in any sync mode,
also when it is resumed. ``force_ignore_checkpoint`` on an incremental stream that never succeeded is a reset too. A job
in sync mode ``stream`` never ends: it stays RUNNING, and an empty pagination does not mean exhausted.

A joined job (``bizon run --join``) is opened by the first of its commands, and the others join it. Only ``--join`` goes
on with it, and ``--join`` goes on with no job that is one chain and has a cursor.

A reset can be withdrawn until it may be published: its job is cancelled. When the destination refuses a run before
anything is fetched, and only that run asked for the reset, the job is removed and the one before it is as it was.
"""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.clock import utc_now
from bizon.common.safe_log import logger
from bizon.engine.backend.models import WINDOW, JobStatus, Role, StreamJob, StreamKey
from bizon.engine.pipeline.run import Run
from bizon.engine.runner.opened_job import OpenedJob
from bizon.engine.runner.resuming import (
    ADOPTED,
    Candidates,
    Decision,
    candidates,
    decide,
    may_be_published,
    partitions_of,
    resume_point,
)
from bizon.engine.runner.windows import Scope, Span, asked_window, check_is_new, check_may_go_on, incremental_state

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.runner.models import RunnerStatus


_REFUSED_RESET = "nothing was fetched, and the full refresh is withdrawn: the next run continues as before"
HOW_TO_WITHDRAW = "`bizon stream reset CONFIG --cancel` withdraws the full refresh that was requested"


class Withdrawn(NamedTuple):
    """The result of ``withdraw_reset``. ``pending``: a request that no job had begun; ``job_id``: the job that carries
    a reset, which is cancelled unless it ``may_be_published`` already."""

    pending: bool
    job_id: str | None = None
    may_be_published: bool = False


def open_job(
    backend: "AbstractBackend",
    config: "BizonConfig",
    now: datetime | None = None,
    role: Role | None = None,
    scope: Scope | None = None,
    *,
    joined: str | None = None,
) -> OpenedJob:
    """Find or create the job of this run, by the table above, and mark it RUNNING. Called once per run, or by its
    producing ``role``. ``scope``: the part of the stream to fetch. ``joined``: several commands work on the job,
    which they know by this name. Raises ConfigError for a window that cannot be fetched, and for a job that a run like
    this must not go on with; OvertakenError when another run has begun a job meanwhile."""
    key, scope = config.stream_key, scope or Scope()
    jobs = candidates(backend, key)
    check_is_new(jobs.newest, joined)
    span = asked_window(backend, config, key, scope, joins=joined is not None)
    decision = decide(backend, config, key, jobs, scope, span, now or utc_now())
    if decision.then_another:
        logger.info("The previous job was killed when only publishing was left; it is finished first")
    resumed = jobs.unfinished if decision.new_job_because is None else None
    if resumed is not None:
        check_may_go_on(backend, config, resumed, joins=joined is not None)
    job = resumed or _new_job(backend, config, key, jobs, decision, span)
    epoch = backend.open_epoch(job.id, role)  # from here on an earlier start cannot move the cursor that is read next
    if joined is not None:
        backend.join_job(job.id, epoch=epoch, name=joined)
        job = job._replace(joined=joined)
    resume = resume_point(backend, config, job, jobs.previous, epoch)
    resume = replace(resume, adopt=resume.adopt or decision.adopts)
    is_reset = backend.is_reset(job.id)
    if decision.adopts:
        backend.note_output(job.id, {ADOPTED: True}, epoch=epoch)
    backend.update_stream_job_status(job.id, JobStatus.RUNNING)
    opened = OpenedJob(
        job,
        Run(job.id, key, epoch, epoch, resume, partitions_of(backend, job, resume)),
        incremental=None if is_reset else incremental_state(backend, config, job, jobs.previous),
        replaces=is_reset and config.source.is_incremental,
        then_another=decision.then_another,
        implies_reset=decision.implies_reset,
        instead_of=jobs.unfinished if decision.implies_reset else None,
    )
    opened.log_start()
    return opened


def _new_job(
    backend: "AbstractBackend",
    config: "BizonConfig",
    key: StreamKey,
    jobs: Candidates,
    decision: Decision,
    span: Span | None,
) -> StreamJob:
    """Cancel the unfinished job, if there is one, and create another."""
    previous = jobs.previous
    if decision.resets:
        backend.request_stream_reset(key)  # first, so that a kill in between does not lose it
    if jobs.unfinished is not None:
        logger.info(f"Job {jobs.unfinished.id} is cancelled: {decision.new_job_because}")
        epoch = backend.open_epoch(jobs.unfinished.id)  # a consumer that still writes for it cannot commit any more
        backend.update_stream_job_status(jobs.unfinished.id, JobStatus.CANCELED, decision.new_job_because, epoch=epoch)
    elif config.source.force_ignore_checkpoint:
        logger.info(_nothing_to_discard(config, previous))
    kept = None if decision.resets or previous is None else previous.incremental_state
    mode = config.source.sync_mode.value if span is None else WINDOW
    job = backend.create_stream_job(key, mode, incremental_state=kept, seen=jobs.until)
    backend.bind_stream_reset(key, job.id)
    if jobs.newest is not None:
        instead_of = jobs.unfinished if decision.implies_reset else None
        backend.prune_cursors(key, keep=[each.id for each in (job, previous, instead_of) if each is not None])
    if span is not None:
        backend.note_window(job.id, span)
        job = job._replace(window=span)
    return job


def join_job(backend: "AbstractBackend", config: "BizonConfig", before: OpenedJob | None = None) -> OpenedJob | None:
    """The job that a consumer works for when it runs apart from its producer. None while there is none: the producer
    has not started, or everything that it sent is published.

    A job that failed in a consumer is marked RUNNING again. A job that failed in its producer is not, since the
    producer has to start again: no consumer has joined it since, or only this one (``before``: the job it joined
    last)."""
    key = config.stream_key
    newest = backend.get_last_stream_job(key)
    if newest is None or not newest.is_resumable or not newest.producer_epoch:
        return None
    check_may_go_on(backend, config, newest, joins=False)
    epoch = backend.open_epoch(newest.id, Role.CONSUMER)
    job = backend.get_stream_job_by_id(newest.id) or newest
    resume = resume_point(backend, config, job, backend.get_last_successful_stream_job(key), epoch)
    run = Run(job.id, key, epoch, job.producer_epoch, resume)
    joined_before = before is not None and (before.job.id, before.run.producer_epoch) == (job.id, job.producer_epoch)
    if not joined_before and _has_failed_by_a_consumer(newest):
        backend.update_stream_job_status(job.id, JobStatus.RUNNING, epoch=epoch)
    opened = OpenedJob(job, run, incremental=None, replaces=backend.is_reset(job.id) and job.is_incremental)
    if not joined_before:
        opened.log_start()
    return opened


def close_job(backend: "AbstractBackend", opened: OpenedJob, status: "RunnerStatus") -> "RunnerStatus":
    """Write how the run ended. SUCCEEDED only when the output is published; called once per run, also after errors.
    Returns the status. When the destination refused a reset, its error says what became of the reset."""
    job_id, epoch = opened.job.id, opened.run.epoch
    if status.published:
        backend.update_stream_job_status(job_id, JobStatus.SUCCEEDED, epoch=epoch)
        return status
    if status.is_success or (opened.job.is_endless and status.interrupted):
        return status  # a stream that was asked to stop has not failed
    withdraws = status.refused and opened.implies_reset
    if withdraws and backend.remove_stream_job(job_id, epoch=epoch, instead_of=opened.instead_of):
        return status._replace(error=f"{status.error}; {_REFUSED_RESET}")
    if status.refused and opened.replaces:
        status = status._replace(error=f"{status.error}; {HOW_TO_WITHDRAW}")
    backend.update_stream_job_status(job_id, JobStatus.FAILED, status.error or status.to_string(), epoch=epoch)
    return status


def shared_job(backend: "AbstractBackend", config: "BizonConfig") -> OpenedJob | None:
    """The newest job of the stream, if commands like this one share it, for one that did not open it; None otherwise.
    The members of an endless one have no partitions."""
    job = backend.get_last_stream_job(config.stream_key)
    partitions = () if job is None else backend.get_partitions(job.id)
    is_endless = config.source.is_endless
    if job is None or not (job.is_joined and job.is_endless == is_endless and (partitions or is_endless)):
        return None
    resume = resume_point(backend, config, job, backend.get_last_successful_stream_job(job.key), job.attempt)
    run = Run(job.id, job.key, job.attempt, job.producer_epoch, resume, partitions)
    return OpenedJob(job, run, None, replaces=backend.is_reset(job.id) and config.source.is_incremental)


def reopen(backend: "AbstractBackend", job: StreamJob) -> None:
    """A command joins a job: it is RUNNING again if another command has failed it."""
    if job.has_failed:
        backend.update_stream_job_status(job.id, JobStatus.RUNNING, epoch=job.attempt)


def note_published(backend: "AbstractBackend", run: Run) -> None:
    """A joined job is published, by the run that still holds its epoch."""
    backend.update_stream_job_status(run.job_id, JobStatus.SUCCEEDED, epoch=run.epoch)


def close_shared_job(backend: "AbstractBackend", job_id: str, status: "RunnerStatus", *, goes_on: bool) -> None:
    """Write how a command that worked on a joined job ended, unless the job is over. A failure fails the job unless it
    ``goes_on`` in other commands, which may succeed where this one did not; the error is noted in any case."""
    job = backend.get_stream_job_by_id(job_id)
    if status.is_success or status.interrupted or status.overtaken or job is None or not job.is_under_way:
        return
    next_status = JobStatus.RUNNING if goes_on else JobStatus.FAILED
    backend.update_stream_job_status(job.id, next_status, status.error or status.to_string(), epoch=job.attempt)


def withdraw_reset(backend: "AbstractBackend", config: "BizonConfig") -> Withdrawn:
    """Withdraw a reset that is not published: a pending one, and one that an unfinished job carries. Called while no
    run is in progress.

    A job that replaces its output in any case, in sync mode ``full_refresh``, goes on: the next one would do the same
    from the first page."""
    key = config.stream_key
    pending, job = backend.has_pending_reset(key), candidates(backend, key).unfinished
    if pending:
        backend.withdraw_stream_reset(key)
    if job is None or not config.source.is_incremental or not backend.is_reset(job.id):
        return Withdrawn(pending)
    if may_be_published(backend, job, config):
        return Withdrawn(pending, job.id, may_be_published=True)
    epoch = backend.open_epoch(job.id)  # a run that was frozen cannot commit for it any more
    backend.update_stream_job_status(job.id, JobStatus.CANCELED, "its reset was withdrawn", epoch=epoch)
    return Withdrawn(pending, job.id)


def _nothing_to_discard(config: "BizonConfig", previous: StreamJob | None) -> str:
    text = "There was no unfinished job to discard; a new one starts"
    if config.source.is_incremental and previous is not None:
        return f"{text} after the watermark (--full-refresh loads everything and replaces the output)"
    return text


def _has_failed_by_a_consumer(job: StreamJob) -> bool:
    """True when the job failed after a consumer had joined it."""
    return job.has_failed and job.attempt != job.producer_epoch
