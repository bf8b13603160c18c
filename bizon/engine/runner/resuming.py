"""Whether a run resumes the newest job of its stream, by the table in ``jobs.py``, and where it starts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from bizon.engine.partitions import PARTITIONS, Positions, paginations_in
from bizon.engine.pipeline.models import ResumePoint
from bizon.engine.pipeline.watermark import recorded_output
from bizon.engine.runner.windows import Scope, Span, reason_not_to_continue
from bizon.source.models import RESTARTS

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import StreamJob, StreamKey
    from bizon.engine.partitions import Partition

ADOPTED = "adopted"
"""Noted on a job that was started with --adopt, so that its resumes need no flag."""


class Decision(NamedTuple):
    """The result of ``decide``. ``new_job_because``: None when the newest job is resumed. ``resets``: the new job
    fetches everything. ``implies_reset``: only this run asks for that. ``then_another``: the newest job is only
    published, and a new one follows. ``adopts``: the run takes over the output."""

    new_job_because: str | None
    resets: bool
    implies_reset: bool
    then_another: bool
    adopts: bool


class Candidates(NamedTuple):
    """``newest``: the newest job of the stream; ``previous``: the last that succeeded and is not a window."""

    newest: "StreamJob | None"
    previous: "StreamJob | None"

    @property
    def unfinished(self) -> "StreamJob | None":
        """The newest job, if it can be resumed."""
        return self.newest if self.newest is not None and self.newest.is_resumable else None

    @property
    def until(self) -> datetime:
        """When the newest job was created; the beginning of time when there is none."""
        return datetime.min.replace(tzinfo=UTC) if self.newest is None else self.newest.created_at


def takes_partitions(config: "BizonConfig") -> bool:
    """Whether a run can fetch partitions: a source object that a program gave cannot serve several of them."""
    return config.engine.takes_partitions and not config.source.is_given_an_object


def candidates(backend: "AbstractBackend", key: "StreamKey") -> Candidates:
    """The jobs that a new run depends on."""
    newest = backend.get_last_stream_job(key)
    return Candidates(newest, None if newest is None else backend.get_last_successful_stream_job(key))


def decide(
    backend: "AbstractBackend",
    config: "BizonConfig",
    key: "StreamKey",
    jobs: Candidates,
    scope: Scope,
    span: Span | None,
    now: datetime,
) -> Decision:
    """Decide by the table. Nothing is changed."""
    job = jobs.unfinished
    continues_reset = job is not None and backend.is_reset(job.id)
    ignores_everything = config.source.force_ignore_checkpoint and jobs.previous is None
    implied = ignores_everything or (scope.everything and not continues_reset)
    is_requested = backend.has_pending_reset(key)
    reason = _reason_not_to_resume(job, config, now, span)
    if reason is None and (implied or is_requested):
        reason = "a full refresh was requested" if scope.everything else "a reset was requested"
    if reason is None:
        reason = _cannot_take_partitions(backend, job, config) or _lost_place(backend, job)
        reason = reason or _outdated_checkpoint(backend, job, config, now)
    then_another = reason is not None and may_be_published(backend, job, config)
    if then_another:
        reason = None
    return Decision(
        reason,
        resets=reason is not None and (implied or is_requested or continues_reset),
        implies_reset=reason is not None and implied and not (is_requested or continues_reset),
        then_another=then_another,
        adopts=config.source.adopt_output or (reason is not None and _adoption_goes_on(job, config)),
    )


def resume_point(
    backend: "AbstractBackend", config: "BizonConfig", job: "StreamJob", previous: "StreamJob | None", epoch: int
) -> ResumePoint:
    """Where a run of ``job`` starts, read from its last destination cursor."""
    appends = config.source.is_incremental and not backend.is_reset(job.id)
    window = backend.get_last_successful_window(job.key) if appends else None
    also = () if window is None else (window.id,)
    start = ResumePoint(
        job.id,
        adopt=config.source.adopt_output or _was_adopted(job),
        epoch=epoch,
        job_created_us=job.created_us,
        published=recorded_output(previous.id, previous.output, also) if appends and previous is not None else None,
    )
    committed = backend.committed(job.id)
    if (last := committed.last) is None:
        return replace(start, has_history=previous is not None)
    if job.is_joined:
        return start  # each part has a resume point of its own: see joining/points.py
    return replace(
        start,
        last_iteration=last.to_source_iteration,
        pagination=last.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        exhausted=not last.pagination and not job.is_endless,
        committed=() if job.is_endless else tuple(cursor.batch for cursor in committed.cursors),
        committed_letters=() if job.is_endless else tuple(cursor.letters for cursor in committed.cursors),
    )


def partitions_of(backend: "AbstractBackend", job: "StreamJob", resume: ResumePoint) -> "tuple[Partition, ...]":
    """The partitions that a job fetches; none for one chain, or when nothing is left to fetch. Raises BackendError when
    the last checkpoint is about others."""
    if resume.exhausted:
        return ()
    partitions = backend.get_partitions(job.id)
    if job.is_joined:
        return partitions
    if partitions or PARTITIONS in resume.pagination:
        Positions.of_checkpoint(partitions, resume.pagination)
    return partitions


def _reason_not_to_resume(
    job: "StreamJob | None", config: "BizonConfig", now: datetime, span: Span | None
) -> str | None:
    """Why a new job is needed, or None when ``job`` is resumed."""
    if job is None:
        return "there is no unfinished job"
    if config.source.force_ignore_checkpoint:
        return "force_ignore_checkpoint is set"
    if job.is_window:
        return reason_not_to_continue(job, span)
    if job.sync_mode != config.source.sync_mode:
        return f"its sync_mode is {job.sync_mode}, the pipeline's is {config.source.sync_mode}"
    age = now - job.created_at
    if not job.is_incremental and not job.is_endless and age > timedelta(seconds=config.source.checkpoint_max_age):
        return f"it was created {age.total_seconds() / 3600:.1f} hours ago, longer than checkpoint_max_age"
    return None


def _lost_place(backend: "AbstractBackend", job: "StreamJob | None") -> str | None:
    """Why nobody can fetch the page after the last checkpoint; None when somebody can."""
    committed = () if job is None else backend.committed(job.id).cursors
    cursors = {cursor.partition: cursor for cursor in committed}.values()  # the last one of each part
    places = [place for cursor in cursors for place in paginations_in(cursor.pagination or {})]
    if not any(each.get(RESTARTS) for each in places):
        return None
    return "its source cannot continue in the middle of the stream"


def _cannot_take_partitions(backend: "AbstractBackend", job: "StreamJob | None", config: "BizonConfig") -> str | None:
    """Why this run cannot fetch the partitions of a job; None when it can, or when none is left."""
    if job is None or job.is_joined or takes_partitions(config) or not backend.get_partitions(job.id):
        return None
    cursor = backend.get_last_cursor_by_job_id(job.id)
    if cursor is not None and not cursor.pagination:
        return None
    return (
        "it was planned in partitions, which need runner thread or process, queue python_queue, and a source that is "
        "a class"
    )


def _outdated_checkpoint(
    backend: "AbstractBackend", job: "StreamJob | None", config: "BizonConfig", now: datetime
) -> str | None:
    """Why the window of an incremental job starts over; None when it does not. Publishing alone needs no checkpoint
    that the API knows, and a job without a checkpoint starts at the first page anyway."""
    if job is None or not job.is_incremental:
        return None
    cursor = backend.get_last_cursor_by_job_id(job.id)
    age = timedelta(0) if cursor is None or _is_all_committed(backend, job) else now - cursor.created_at
    if age <= timedelta(seconds=config.source.checkpoint_max_age):
        return None
    return f"its last checkpoint is {age.total_seconds() / 3600:.1f} hours old, longer than checkpoint_max_age"


def _adoption_goes_on(job: "StreamJob | None", config: "BizonConfig") -> bool:
    """Whether the new job may take over the output without --adopt, because the abandoned job might."""
    if job is None or job.sync_mode != config.source.sync_mode:
        return False
    return _was_adopted(job) and not config.source.force_ignore_checkpoint


def _was_adopted(job: "StreamJob") -> bool:
    """Whether it was started with --adopt."""
    return (job.output or {}).get(ADOPTED) is True


def may_be_published(backend: "AbstractBackend", job: "StreamJob | None", config: "BizonConfig") -> bool:
    """True for a job that was killed when all its pages were committed: while it published, or just after. For a window
    also when it failed then: only runs with the same window resume it. Such a job must not be cancelled."""
    if job is None or not config.source.is_incremental:
        return False
    if not job.is_window and (not job.is_incremental or job.has_failed):
        return False
    return _is_all_committed(backend, job)


def _is_all_committed(backend: "AbstractBackend", job: "StreamJob") -> bool:
    """Whether only publishing is left."""
    cursor = backend.get_last_cursor_by_job_id(job.id)
    if cursor is None or not job.is_joined:
        return cursor is not None and not cursor.pagination
    return not backend.count_parts_left(job.id)
