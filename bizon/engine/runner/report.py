"""The state of a pipeline, for people and programs outside a run."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import BackendError, ConfigError
from bizon.destination.column_receipts import ColumnChanges, changes_of
from bizon.engine.partitions import Positions
from bizon.engine.runner.assembly import build_backend, existing_backend
from bizon.engine.runner.jobs import Withdrawn, withdraw_reset
from bizon.engine.runner.lease import both_held, is_dead, leases_of
from bizon.engine.runner.lease_report import LeaseReport, MemberReport, PartReport
from bizon.engine.runner.pipeline_report import PipelineReport

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import DestinationCursor, Lease, StreamJob
    from bizon.engine.partitions import PartState, SeatState


class ColumnReport(NamedTuple):
    """``state``: how far the job is. Its columns are in the table once it has succeeded; until then they may be in
    staging only."""

    job_id: str
    state: str
    changes: ColumnChanges


def columns_of_last_run(config: "BizonConfig") -> ColumnReport:
    """Read the state; nothing in it is created or changed. Columns that `record_schemas` declares are not among the
    changes: they are there before the first batch. Raises BackendError when the state knows of no run, and ConfigError
    for a state that lives in the memory of a run."""
    _refuse_memory(config)
    key = config.stream_key
    with existing_backend(config) as backend:
        job = backend.get_last_stream_job(key) if backend.check_prerequisites() else None
        if job is None:
            raise BackendError(f"the state knows of no run of pipeline '{config.job_name}'")
        if job.sync_mode == "stream":
            raise BackendError(
                "a job in sync mode stream keeps one checkpoint, which does not say which columns it has added; "
                "`bizon schema show` lists those that the table has"
            )
        batches = [cursor.batch for cursor in backend.committed(job.id).cursors]
    return ColumnReport(job.id, job.status.value, changes_of(batches))


def report_on(config: "BizonConfig") -> PipelineReport:
    """Read the state of a pipeline; nothing is created or changed. Raises BackendError, and ConfigError for a state
    that lives in the memory of a run."""
    _refuse_memory(config)
    key = config.stream_key
    nothing = PipelineReport(key.name, key.source_name, key.stream_name, "none")
    with existing_backend(config) as backend:
        if not backend.check_prerequisites():
            return nothing
        pending, job = backend.has_pending_reset(key), backend.get_last_stream_job(key)
        producer, consumer = leases_of(backend, key)
        lease, consumer_lease = _lease_report(producer, "producer"), _lease_report(consumer, "consumer")
        report = replace(nothing, reset_pending=pending, lease=lease, consumer_lease=consumer_lease)
        return report if job is None else _with_job(report, backend, job)


def _with_job(report: PipelineReport, backend: "AbstractBackend", job: "StreamJob") -> PipelineReport:
    committed, position = backend.committed(job.id), backend.get_source_position(job.id)
    cursor, noted = None if job.is_joined else committed.last, job.progress or {}
    report = _with_parts(report, backend, job, cursor)
    report = replace(
        report,
        state=job.status.value,
        job_id=job.id,
        sync_mode=job.sync_mode,
        starts=job.attempt,
        created_at=job.created_at,
        age_seconds=job.age.total_seconds(),
        last_iteration=None if cursor is None else cursor.to_source_iteration,
        next_pagination=None if cursor is None else cursor.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        values_rescued=committed.rescued,
        rows_fetched=None if position is None else position.rows_fetched,
        fetched_iteration=None if position is None else position.iteration - 1,
        total_records=job.total_records_to_fetch,
        error=job.error_message,
        records_per_second=noted.get("records_per_second"),
        lag=noted.get("lag"),
        noted_at=noted.get("at"),
    )
    return _with_members(report, backend, job) if job.is_joined and job.is_endless else report


def _with_members(report: PipelineReport, backend: "AbstractBackend", job: "StreamJob") -> PipelineReport:
    members = tuple(filter(None, map(_member_report, backend.get_seats(job.id))))
    at_work = [member for member in members if member.alive and member.noted_at is not None]
    rates = [member.records_per_second for member in at_work if member.records_per_second is not None]
    lags = [member.lag for member in at_work if member.lag is not None]
    return replace(
        report,
        partitions=0,
        partitions_left=0,
        parts=(),
        members=members,
        records_per_second=round(sum(rates), 1) if rates else None,
        lag=sum(lags) if lags else None,
        noted_at=max((member.noted_at for member in at_work if member.noted_at is not None), default=None),
    )


def _member_report(seat: "SeatState") -> MemberReport | None:
    who, noted = seat.part.holder, seat.note or {}
    if who is None:
        return None
    return MemberReport(
        seat.part.number,
        who.host,
        who.pid,
        seat.part.idle,
        alive=seat.part.expires_in > 0 and not is_dead(who),
        places=tuple(sorted(name for name, is_held in seat.places.items() if is_held)),
        records_per_second=noted.get("records_per_second"),
        lag=noted.get("lag"),
        noted_at=noted.get("at"),
    )


def _with_parts(
    report: PipelineReport, backend: "AbstractBackend", job: "StreamJob", cursor: "DestinationCursor | None"
) -> PipelineReport:
    if job.is_joined:
        parts = backend.get_parts(job.id)
        left, at_work = sum(not part.done for part in parts), tuple(filter(None, map(_part_report, parts)))
        return replace(report, joined=True, partitions=len(parts), partitions_left=left, parts=at_work)
    partitions = backend.get_partitions(job.id)
    is_over = cursor is not None and not cursor.pagination
    places = cursor.pagination if cursor is not None and partitions else {}
    left = 0 if is_over else len(Positions.of_checkpoint(partitions, places).left)
    return replace(report, partitions=len(partitions), partitions_left=left)


def _part_report(part: "PartState") -> PartReport | None:
    who = part.holder
    if who is None:
        return None
    alive = part.expires_in > 0 and not is_dead(who)
    return PartReport(part.number, who.host, who.pid, part.idle, alive)


def _lease_report(lease: "Lease | None", role: str) -> LeaseReport | None:
    if lease is None:
        return None
    alive = lease.expires_in > 0 and not (lease.gone or is_dead(lease.holder))
    who = lease.holder
    return LeaseReport(role, who.host, who.pid, who.owner, lease.age, lease.idle, alive)


def streams_in_state(config: "BizonConfig") -> list[str]:
    """The streams of a pipeline that have run, by name, whichever one is configured. Nothing is created. Raises
    BackendError."""
    _refuse_memory(config)
    with existing_backend(config) as backend:
        return backend.get_stream_names(config.job_name, config.source.name) if backend.check_prerequisites() else []


def next_run_replaces(config: "BizonConfig") -> bool:
    """Whether a reset makes the next run of an incremental pipeline replace the output. Nothing is created. False when
    the state cannot be read."""
    if config.engine.backend.is_in_memory or not config.source.is_incremental:
        return False
    with suppress(BackendError), existing_backend(config) as backend:
        if backend.check_prerequisites():
            job = backend.get_last_stream_job(config.stream_key)
            continues = job is not None and job.is_resumable and backend.is_reset(job.id)
            return continues or backend.has_pending_reset(config.stream_key)
    return False


def request_reset(config: "BizonConfig") -> None:
    """Make the next run fetch everything again and replace the output. Raises ConfigError where that has no meaning."""
    _refuse_resets(config)
    with build_backend(config) as backend:
        backend.request_stream_reset(config.stream_key)


def cancel_reset(config: "BizonConfig") -> Withdrawn:
    """Withdraw a reset that is not published yet, and cancel the unfinished job that carries it. Holds the leases of
    the pipeline meanwhile. Raises JobLockedError while a run is in progress, and ConfigError where a reset has no
    meaning or its job may be published already."""
    _refuse_resets(config)
    with build_backend(config) as backend, both_held(backend, config):
        withdrawn = withdraw_reset(backend, config)
    if withdrawn.may_be_published:
        also = "; another reset, which no job had begun, is withdrawn" if withdrawn.pending else ""
        raise ConfigError(
            f"--cancel: job {withdrawn.job_id} has fetched everything and may be published already; "
            f"the next run finishes it{also}"
        )
    return withdrawn


def _refuse_resets(config: "BizonConfig") -> None:
    _refuse_memory(config)
    if config.source.is_endless:
        raise ConfigError(
            "a pipeline with sync_mode stream has nothing to reset: its source keeps the position",
            key=("source", "sync_mode"),
        )


def _refuse_memory(config: "BizonConfig") -> None:
    if config.engine.backend.is_in_memory:
        raise ConfigError(
            "backend type 'sqlite_in_memory' keeps no state between runs; use backend type 'sqlite' or 'postgres'",
            key=("engine", "backend", "type"),
        )
