"""A job that is ready to run."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.common.safe_log import logger

if TYPE_CHECKING:
    from bizon.engine.backend.models import StreamJob
    from bizon.engine.pipeline.run import Run
    from bizon.source.models import SourceIncrementalState


class OpenedJob(NamedTuple):
    """A job that is ready to run. ``incremental`` is None when the stream is fetched from its beginning. ``replaces``:
    the output replaces the old one although the sync mode would append. ``then_another``: once this job is published,
    the run continues with the job it was started for. ``implies_reset``: this run has created the job for a reset that
    only it asks for; ``instead_of``: the job that was cancelled for it, as it was before."""

    job: "StreamJob"
    run: "Run"
    incremental: "SourceIncrementalState | None"
    replaces: bool
    then_another: bool = False
    implies_reset: bool = False
    instead_of: "StreamJob | None" = None

    def log_start(self, *, wants_another: bool = False) -> None:
        """Say which job runs, and from where. ``wants_another``: the run would have begun a new job, and joins one."""
        job, run = self.job, self.run
        stream, resume = f"{run.key.source_name}.{run.key.stream_name}", run.resume
        mode = f"{job.sync_mode}, loads everything and replaces the output" if self.replaces else job.sync_mode
        if job.is_joined:
            logger.info(f"Working on job {job.id} of {stream} ({mode}), together with all commands that join it")
            if wants_another:
                logger.warning("--fresh and --full-refresh are for the command that begins a job; this one joins one")
        elif resume.last_iteration is None:
            logger.info(f"Starting job {job.id} of {stream} ({mode})")
        elif resume.exhausted:
            logger.info(
                f"Resuming job {job.id} of {stream}: all {resume.rows_written} records are committed, publishing"
            )
        else:
            where = (
                f"with {len(run.partitions)} partitions" if run.partitions else f"at iteration {resume.next_iteration}"
            )
            logger.info(
                f"Resuming job {job.id} of {stream} ({mode}) {where}, {resume.rows_written} records are committed"
            )
