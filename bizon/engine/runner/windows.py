"""The part of a stream that a run fetches: new records, everything, or a window of the past.

A window (``bizon run --since --until``) is a job of its own kind: its sync mode in the state is ``window``. It is
resumed by a run with the same window, its rows are published like the rows of an incremental job, and it never moves
the watermark, which the newest succeeded job of another kind sets.

| newest job of the stream           | a run with a window              | a run without one                   |
|------------------------------------|----------------------------------|-------------------------------------|
| unfinished, without a window       | refused                          | see ``jobs.py``                     |
| unfinished, the same window        | resumed                          | cancelled                           |
| unfinished, another window         | cancelled                        | cancelled                           |
| window, only publishing is left    | published, then its own          | published, then its own             |
| finished, or none                  | new job                          | see ``jobs.py``                     |

The last line but one: the output may be published already, so that job must not be cancelled.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.clock import as_utc
from bizon.common.errors.errors import ConfigError, OvertakenError
from bizon.common.safe_log import logger
from bizon.source.cursor_resolution import cursor_resolution, floored
from bizon.source.models import SourceIncrementalState

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import StreamJob, StreamKey
    from bizon.source.config import SourceConfig

Span = tuple[datetime, datetime]
"""Begin, inclusive, and end, exclusive; aware, UTC."""


class Scope(NamedTuple):
    """The part of the stream that a run fetches. By default the new records.

    ``since`` and ``until``: a window of the past instead; naive moments are UTC, no ``until`` = up to the watermark.
    ``everything``: the whole stream, which replaces the old output in any sync mode.
    """

    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False


def asked_window(
    backend: "AbstractBackend", config: "BizonConfig", key: "StreamKey", scope: Scope, *, joins: bool = False
) -> Span | None:
    """The window of a run, in whole units of ``cursor_resolution``; None when it has no window. Called before anything
    is opened. Raises ConfigError for a window that cannot be fetched. ``joins``: the run shares its job."""
    if joins:
        _check_is_whole(backend, config, key, scope)
    if scope.since is None:
        return None
    if not config.source.is_incremental:
        raise ConfigError(
            f"--since: a window needs sync_mode incremental, not {config.source.sync_mode}",
            key=("source", "sync_mode"),
        )
    newest, previous = backend.get_last_stream_job(key), backend.get_last_successful_stream_job(key)
    if previous is None or backend.has_pending_reset(key):
        raise ConfigError("--since: the next run without it fetches everything; run that first")
    if newest is not None and newest.is_resumable and not newest.is_window:
        raise ConfigError(f"--since: job {newest.id} is unfinished; run without --since first, to finish it")
    unit, mark = cursor_resolution(config.source), watermark(config.source, previous)
    begin, end = floored(as_utc(scope.since), unit), mark if scope.until is None else floored(as_utc(scope.until), unit)
    if begin >= end:
        what = "the watermark" if scope.until is None else "--until"
        raise ConfigError(f"--since {begin.isoformat()} is not before {what}, {end.isoformat()}")
    if end > mark:
        logger.warning(f"The window ends after the watermark, {mark.isoformat()}: the next run fetches the rest again")
    return begin, end


def check_is_new(newest: "StreamJob | None", joined: str | None) -> None:
    """Raise OvertakenError when the job of this name is published: the command that begins it was frozen, and another
    one has begun it."""
    if joined and newest is not None and newest.joined == joined and newest.has_succeeded:
        raise OvertakenError(newest.id)


def check_may_go_on(backend: "AbstractBackend", config: "BizonConfig", job: "StreamJob", *, joins: bool) -> None:
    """Raise ConfigError for a joined job and a run that does not join, and for the opposite. Members of a stream and
    plain runs go on with the same job (``runner/members/moving.py``)."""
    if job.is_endless:
        return
    if job.is_joined and not joins:
        raise ConfigError(
            f"job {job.id} is unfinished, and was begun with --join or engine.runner.type 'ray': run with --join to "
            "finish it, or with --fresh to start over"
        )
    if joins and not job.is_joined and backend.get_last_cursor_by_job_id(job.id) is not None:
        runner = config.engine.runner
        raise ConfigError(
            f"{runner.shared_by}: job {job.id} is unfinished, and was begun without it: run {runner.alone} to finish "
            "it, or with --fresh to start over"
        )


def _check_is_whole(backend: "AbstractBackend", config: "BizonConfig", key: "StreamKey", scope: Scope) -> None:
    """Raise ConfigError for a run that joins a job and fetches what has changed: that is one chain of pages, which
    cannot be divided, and it is short."""
    what, alone = config.engine.runner.shared_by, config.engine.runner.alone
    if scope.since is not None:
        raise ConfigError(f"{what}: a window of the past (--since) is one chain of pages; run it {alone}")
    if not config.source.is_incremental or scope.everything:
        return
    previous, newest = backend.get_last_successful_stream_job(key), backend.get_last_stream_job(key)
    goes_on = newest is not None and newest.is_resumable and backend.is_reset(newest.id)
    if previous is not None and not goes_on and not backend.has_pending_reset(key):
        raise ConfigError(
            f"{what}: this run fetches what has changed since the last one, which is one chain of pages; run it "
            f"{alone} (the first run of an incremental pipeline and a full refresh can be divided)"
        )


def watermark(source: "SourceConfig", previous: "StreamJob") -> datetime:
    """Where the window of the last succeeded job ended, in whole units: where the next incremental one begins."""
    return floored(previous.window[1] if previous.window else previous.created_at, cursor_resolution(source))


def reason_not_to_continue(job: "StreamJob", span: Span | None) -> str | None:
    """Why a run with this window, or without one, does not resume an unfinished job."""
    if job.is_window and span is None:
        return "it fetches a window of the past, this run does not"
    if job.is_window and job.window != span:
        return "it fetches another window"
    return None


def incremental_state(
    backend: "AbstractBackend", config: "BizonConfig", job: "StreamJob", previous: "StreamJob | None"
) -> SourceIncrementalState | None:
    """The window of a job as the source receives it; None when the stream is fetched from its beginning.

    A window of the past comes without the source's state: a token would continue at the watermark and find nothing."""
    if not config.source.is_incremental or previous is None:
        return None
    begin, end = job.window or _window(backend, config, job, previous)
    return SourceIncrementalState(
        last_run=begin,
        state={} if job.is_window else previous.incremental_state or {},
        cursor_field=config.source.cursor_field,
        run_started_at=end,
    )


def _window(backend: "AbstractBackend", config: "BizonConfig", job: "StreamJob", previous: "StreamJob") -> Span:
    """Where the window of an incremental job begins and ends. With ``cursor_resolution`` it is noted in the state: a
    resumed job has the same window, and the next one begins where it ended, even if the configuration changed."""
    unit, lookback = cursor_resolution(config.source), timedelta(seconds=config.source.window_overlap)
    begin, end = floored(watermark(config.source, previous) - lookback, unit), floored(job.created_at, unit)
    if unit:
        backend.note_window(job.id, (begin, end))
    return begin, end
