"""The start of a worker on its part, and of the command that publishes a joined job."""

from dataclasses import replace
from typing import TYPE_CHECKING

from bizon.engine.pipeline.run import Run

if TYPE_CHECKING:
    from bizon.engine.backend.models import Committed
    from bizon.engine.partitions import TakenPart


def run_of_part(job: Run, part: "TakenPart", committed: "Committed") -> Run:
    """A start of a part, which goes on after what the part has committed. ``job``: the run of the job."""
    last = committed.last
    point = replace(
        job.resume,
        last_iteration=None if last is None else last.to_source_iteration,
        pagination={} if last is None else last.pagination,
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        exhausted=last is not None and not last.pagination,
        has_history=job.resume.has_history or last is not None,
        epoch=part.epoch,
        committed=tuple(cursor.batch for cursor in committed.cursors),
        committed_letters=tuple(cursor.letters for cursor in committed.cursors),
        partition=part.number,
        parts=len(job.partitions),
    )
    return Run(job.job_id, job.key, part.epoch, part.epoch, point)


def publishing_run(job: Run, epoch: int, committed: "Committed") -> Run:
    """A start of the job when all its parts are done. ``epoch``: of the job."""
    point = replace(
        job.resume,
        last_iteration=max((cursor.to_source_iteration for cursor in committed.cursors), default=None),
        rows_written=committed.rows_written,
        dead_letters=committed.dead_letters,
        exhausted=True,
        has_history=True,
        epoch=epoch,
        committed=tuple(cursor.batch for cursor in committed.cursors),
        committed_letters=tuple(cursor.letters for cursor in committed.cursors),
        parts=len(job.partitions),
    )
    return Run(job.job_id, job.key, epoch, epoch, point)
