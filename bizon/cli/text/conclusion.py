"""The end of a run in words."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.cli.text.words import counted
from bizon.common.errors.errors import ExitCode

if TYPE_CHECKING:
    from bizon.engine.runner.models import RunnerStatus


class Conclusion(NamedTuple):
    """The end of a run in words: the exit code, lines for stdout, lines for stderr."""

    exit_code: ExitCode
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()


def conclusion(status: "RunnerStatus", seconds: float, *, publishes: bool, max_iterations: int | None) -> Conclusion:
    """How to end. ``publishes``: the sync mode publishes a whole output at the end."""
    sends_only = status.consumer is None and status.stream is None
    number, verb = (status.records_fetched, "sent") if sends_only else (status.records_written, "written")
    count = f"{counted(number, 'record')} {verb} in {seconds:.1f} s"
    if status.interrupted:
        unpublished = ", nothing was published" if publishes else ""
        text = f"Pipeline finished with status Interrupted: {count}{unpublished}; run again to resume"
        return Conclusion(ExitCode.INTERRUPTED, err=(text,))
    if not status.is_success:
        code = ExitCode.CONFIG if status.misses_package else ExitCode.FAILED
        return Conclusion(code, err=(_failure(status, number, count),))
    lines = ["Pipeline finished successfully."]
    if status.records_rejected:
        rejected = counted(status.records_rejected, "record")
        lines.append(
            f"Dead letters: {rejected} in {status.dead_letters}" if status.dead_letters else f"Skipped: {rejected}"
        )
    if status.values_rescued:
        lines.append(f"Rescued: {counted(status.values_rescued, 'value')} without room in a column, in _bizon_rescued")
    if status.capped:
        unpublished = "; nothing is published yet" if publishes else ""
        lines.append(
            f"Stopped after max_iterations ({counted(max_iterations or 0, 'page')}){unpublished}; "
            "run again to continue."
        )
    elif sends_only:
        lines.append("All pages are on the queue; the consumer publishes them.")
    elif status.where:
        lines.append(f"Records: {status.where}")
    return Conclusion(ExitCode.OK, out=(*lines, f"Pipeline finished with status Success: {count}"))


def _failure(status: "RunnerStatus", number: int, count: str) -> str:
    """First what failed, then how far the run got and how to continue, if the job has a checkpoint. ``number``:
    the records that it has committed or sent, ``count`` in words."""
    has_checkpoint = status.resumed_from is not None or number + status.records_rejected > 0
    can_resume = has_checkpoint and not (status.overtaken or status.watermark_refused or status.refused)
    remedy = "; run again to resume after the last checkpoint" if can_resume else ""
    reason = f": {status.error}" if status.error else ""
    return f"Error: Pipeline finished with status Failure ({status.causes()}){reason} ({count}{remedy})"
