"""Opening, resuming and closing a job. The only place that writes a job's status.

| newest job of the stream        | its last cursor      | action                              |
|---------------------------------|----------------------|-------------------------------------|
| none, SUCCEEDED or CANCELED     | -                    | new job, page 0                     |
| STARTED, RUNNING or FAILED      | none                 | same job, page 0                    |
| same                            | pagination not empty | same job, the page after the cursor |
| same                            | pagination empty     | same job, publish only              |
| same, but it must not continue  | -                    | cancel it, new job                  |
| killed, incremental, ignored    | pagination empty     | publish only, then a new job        |

The last line: ``force_ignore_checkpoint`` would cancel a job whose output may be published already, and append its
window again. A job that failed to publish is cancelled. Jobs for a window of the past: see ``windows.py``.

It must not continue when a reset was requested, when ``force_ignore_checkpoint`` is set, when its sync mode is not the
configured one, when it is a full_refresh older than ``checkpoint_max_age``, or when it is incremental, has pages left
to fetch, and its last checkpoint is older: its window begins again then, where the last succeeded job ended. A reset
that such a job was given goes to the new one.

A consumer that runs apart from its producer opens no job of its own: it joins the newest one, once its producer has
started. Each start of either half opens an epoch, and so overtakes an earlier start of the consumer.

A reset is bound to the job that is made for it: that job fetches everything and replaces the output, whatever the sync
mode, also when it is resumed. ``force_ignore_checkpoint`` with an incremental stream that never succeeded is one too.
A job in sync mode ``stream`` never ends: it stays RUNNING, and an empty pagination does not mean exhausted.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bizon.common.clock import microseconds, utc_now
from bizon.common.models import BizonConfig
from bizon.common.role import Role
from bizon.common.safe_log import logger
from bizon.destination.models import ResumePoint
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import RESUMABLE, WINDOW, JobStatus, StreamJob, StreamKey
from bizon.engine.pipeline.watermark import recorded_output
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.windows import Scope, Span, asked_window, incremental_state, reason_not_to_continue
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceIncrementalState

_WHAT_IS_NEW = Scope()
_ADOPTED = "adopted"  # noted on a job that was started with --adopt, so that its resumes need not be


class OpenedJob(NamedTuple):
    """A job that is ready to run. ``incremental`` is None when the stream is fetched from its beginning; ``replaces``
    when its output takes the place of the old one although the sync mode would append. ``then_another``: once this job
    is published, the run goes on with the one it was started for."""

    job: StreamJob
    epoch: int
    resume: ResumePoint
    incremental: SourceIncrementalState | None
    replaces: bool
    producer_epoch: int
    then_another: bool = False


def stream_key(config: BizonConfig) -> StreamKey:
    """What the checkpoints of this pipeline are filed under."""
    return StreamKey(config.job_name, config.source.name, config.source.stream)


def open_job(
    backend: AbstractBackend,
    config: BizonConfig,
    now: datetime | None = None,
    half: Role | None = None,
    scope: Scope = _WHAT_IS_NEW,
) -> OpenedJob:
    """Find or create the job of this run, by the table above, and mark it RUNNING. Called once per run, or by its
    producing ``half``. ``scope``: what the run is to fetch. Raises ConfigError for a window that cannot be fetched."""
    key = stream_key(config)
    span = asked_window(backend, config, key, scope)
    newest = backend.get_last_stream_job(key)
    previous = None if newest is None else backend.get_last_successful_stream_job(key)
    if (config.source.force_ignore_checkpoint and previous is None) or _everything_is_wanted(backend, newest, scope):
        backend.request_stream_reset(key)
    reset_wanted = backend.has_pending_reset(key)
    reason = _reason_not_to_resume(newest, config, now or utc_now(), span)
    if reason is None and not reset_wanted:
        reason = _outdated_checkpoint(backend, newest, config, now or utc_now())
    if reason is not None and newest is not None and newest.status in RESUMABLE and backend.is_reset(newest.id):
        backend.request_stream_reset(key)
        reset_wanted = True
    if reason is None and reset_wanted:
        reason = "a reset was requested"
    leftover = reason is not None and not reset_wanted and _may_be_published(backend, newest, config)
    if leftover:
        logger.info("The job before was killed when only publishing was left; it is finished first")
        reason = None
    adopts = config.source.adopt_output or (reason is not None and _adoption_goes_on(newest, config))
    if newest is not None and reason is None:
        job = newest
    else:
        if newest is not None and newest.status in RESUMABLE:
            logger.info(f"Job {newest.id} is cancelled: {reason}")
            backend.open_epoch(newest.id)  # a consumer that still works on it cannot commit any more
            backend.update_stream_job_status(newest.id, JobStatus.CANCELED, reason)
        elif config.source.force_ignore_checkpoint:
            logger.info(_nothing_to_discard(config, previous))
        kept = None if reset_wanted or previous is None else previous.incremental_state
        mode = config.source.sync_mode.value if span is None else WINDOW
        job = backend.create_stream_job(key, mode, incremental_state=kept)
        backend.bind_stream_reset(key, job.id)
        if newest is not None:
            backend.prune_cursors(key, keep=(job.id, *(() if previous is None else (previous.id,))))
        if span is not None:
            backend.note_window(job.id, span)
            job = job._replace(window=span)
    epoch = backend.open_epoch(job.id, half)  # from here on an earlier start cannot move the cursor that is read next
    resume = replace(_resume_point(backend, config, job, previous), epoch=epoch)
    resume = replace(resume, adopt=resume.adopt or adopts)
    is_reset = backend.is_reset(job.id)
    if adopts:
        backend.note_output(job.id, {_ADOPTED: True}, epoch=epoch)
    backend.update_stream_job_status(job.id, JobStatus.RUNNING)
    _log_start(job, resume)
    incremental = None if is_reset else incremental_state(backend, config, job, previous)
    replaces = is_reset and config.source.sync_mode is SourceSyncModes.INCREMENTAL
    return OpenedJob(job, epoch, resume, incremental, replaces, producer_epoch=epoch, then_another=leftover)


def join_job(backend: AbstractBackend, config: BizonConfig, before: OpenedJob | None = None) -> OpenedJob | None:
    """The job whose pages a consumer is to write that runs apart from its producer. None while there is none: the
    producer has not started, or all that it sent is published.

    When a consumer failed, it is marked RUNNING again. When its producer did, which has to start again, it is not: that
    no consumer joined in between, or only this one (``before``: what it joined last), tells."""
    key = stream_key(config)
    newest = backend.get_last_stream_job(key)
    if newest is None or newest.status not in RESUMABLE or not newest.producer_epoch:
        return None
    epoch = backend.open_epoch(newest.id, Role.CONSUMER)
    job = backend.get_stream_job_by_id(newest.id) or newest
    previous = backend.get_last_successful_stream_job(key)
    resume = replace(_resume_point(backend, config, job, previous), epoch=epoch)
    joined_before = before is not None and (before.job.id, before.producer_epoch) == (job.id, job.producer_epoch)
    if not joined_before and _has_failed_by_a_consumer(newest):
        backend.update_stream_job_status(job.id, JobStatus.RUNNING, epoch=epoch)
    if not joined_before:
        _log_start(job, resume)
    replaces = backend.is_reset(job.id) and job.sync_mode == SourceSyncModes.INCREMENTAL
    return OpenedJob(job, epoch, resume, None, replaces, producer_epoch=job.producer_epoch)


def close_job(backend: AbstractBackend, opened: OpenedJob, status: RunnerStatus) -> None:
    """Write how the run ended. SUCCEEDED only when the output is published; called once per run, also after errors."""
    job_id = opened.job.id
    if status.published:
        backend.update_stream_job_status(job_id, JobStatus.SUCCEEDED, epoch=opened.epoch)
    elif not status.is_success and opened.job.sync_mode == SourceSyncModes.STREAM and status.interrupted:
        return  # a stream that was asked to stop has not failed
    elif not status.is_success:
        backend.update_stream_job_status(
            job_id, JobStatus.FAILED, status.error or status.to_string(), epoch=opened.epoch
        )


def _reason_not_to_resume(job: StreamJob | None, config: BizonConfig, now: datetime, span: Span | None) -> str | None:
    """Why a new job is needed, or None when ``job`` is to be resumed."""
    if job is None or job.status not in RESUMABLE:
        return "there is no unfinished job"
    if config.source.force_ignore_checkpoint:
        return "force_ignore_checkpoint is set"
    if job.sync_mode == WINDOW:
        return reason_not_to_continue(job, span)
    if job.sync_mode != config.source.sync_mode:
        return f"its sync_mode is {job.sync_mode}, the pipeline's is {config.source.sync_mode}"
    age = now - job.created_at
    if job.sync_mode == SourceSyncModes.FULL_REFRESH and age > timedelta(seconds=config.source.checkpoint_max_age):
        return f"it was created {age.total_seconds() / 3600:.1f} hours ago, longer than checkpoint_max_age"
    return None


def _outdated_checkpoint(
    backend: AbstractBackend, job: StreamJob | None, config: BizonConfig, now: datetime
) -> str | None:
    """Why the window of an incremental job is to begin again; None when it is not. Only publishing needs no checkpoint
    that the API knows, and a job without one begins at the first page anyway."""
    if job is None or job.sync_mode != SourceSyncModes.INCREMENTAL:
        return None
    cursor = backend.committed(job.id).last
    age = timedelta(0) if cursor is None or not cursor.pagination else now - cursor.created_at
    if age <= timedelta(seconds=config.source.checkpoint_max_age):
        return None
    return f"its last checkpoint is {age.total_seconds() / 3600:.1f} hours old, longer than checkpoint_max_age"


def _adoption_goes_on(job: StreamJob | None, config: BizonConfig) -> bool:
    """Whether the job in the place of this one, which is too old, may have its output without --adopt."""
    if job is None or job.status not in RESUMABLE or job.sync_mode != config.source.sync_mode:
        return False
    return _was_adopted(job) and not config.source.force_ignore_checkpoint


def _was_adopted(job: StreamJob) -> bool:
    """Whether it was started with --adopt."""
    return (job.output or {}).get(_ADOPTED) is True


def _everything_is_wanted(backend: AbstractBackend, newest: StreamJob | None, scope: Scope) -> bool:
    """True when the run is to load everything, and no unfinished job does that already."""
    at_it = newest is not None and newest.status in RESUMABLE and backend.is_reset(newest.id)
    return scope.everything and not at_it


def _nothing_to_discard(config: BizonConfig, previous: StreamJob | None) -> str:
    text = "There was no unfinished job to discard; a new one starts"
    if config.source.sync_mode is SourceSyncModes.INCREMENTAL and previous is not None:
        return f"{text} behind the watermark (--full-refresh loads everything and replaces the output)"
    return text


def _has_failed_by_a_consumer(job: StreamJob) -> bool:
    """True when it failed and a consumer had joined it since its producer started."""
    return job.status is JobStatus.FAILED and job.attempt != job.producer_epoch


def _may_be_published(backend: AbstractBackend, job: StreamJob | None, config: BizonConfig) -> bool:
    """True for a job that was killed when all its pages were committed: while it published, or just after. For a window
    also when it failed then: it is resumed by none but its own runs."""
    incremental = SourceSyncModes.INCREMENTAL
    if job is None or job.status not in RESUMABLE or config.source.sync_mode is not incremental:
        return False
    if job.sync_mode != WINDOW and (
        job.sync_mode != incremental or job.status is JobStatus.FAILED or backend.is_reset(job.id)
    ):
        return False
    cursor = backend.committed(job.id).last
    return cursor is not None and not cursor.pagination


def _resume_point(
    backend: AbstractBackend, config: BizonConfig, job: StreamJob, previous: StreamJob | None
) -> ResumePoint:
    appends = config.source.sync_mode is SourceSyncModes.INCREMENTAL and not backend.is_reset(job.id)
    window = backend.get_last_successful_window(job.key) if appends else None
    also = () if window is None else (window.id,)
    start = ResumePoint(
        job.id,
        adopt=config.source.adopt_output or _was_adopted(job),
        job_created_us=microseconds(job.created_at),
        published=recorded_output(previous.id, previous.output, also) if appends and previous is not None else None,
    )
    committed = backend.committed(job.id)
    if (last := committed.last) is None:
        return replace(start, has_history=previous is not None)
    is_stream = job.sync_mode == SourceSyncModes.STREAM
    return replace(
        start,
        last_iteration=last.to_source_iteration,
        pagination=last.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        exhausted=not last.pagination and not is_stream,
        committed=() if is_stream else tuple(cursor.batch for cursor in committed.cursors),
        committed_letters=() if is_stream else tuple(cursor.letters for cursor in committed.cursors),
    )


def _log_start(job: StreamJob, resume: ResumePoint) -> None:
    stream = f"{job.key.source_name}.{job.key.stream_name}"
    if resume.last_iteration is None:
        logger.info(f"Starting job {job.id} of {stream} ({job.sync_mode})")
    elif resume.exhausted:
        logger.info(f"Resuming job {job.id} of {stream}: all {resume.rows_written} records are there, publishing")
    else:
        logger.info(
            f"Resuming job {job.id} of {stream} ({job.sync_mode}) at iteration {resume.next_iteration}, "
            f"{resume.rows_written} records are committed"
        )
