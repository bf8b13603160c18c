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
    code, text = outcome_of(status, seconds, publishes=publishes)
    if code is ExitCode.INTERRUPTED:
        return Conclusion(code, err=(f"Pipeline finished with status Interrupted: {text}; run again to resume",))
    if code is not ExitCode.OK:
        return Conclusion(code, err=(f"Error: Pipeline finished with status Failure {text}",))
    notes = notes_on(status, publishes=publishes, max_iterations=max_iterations)
    last = f"Pipeline finished with status Success: {text}"
    return Conclusion(code, out=("Pipeline finished successfully.", *notes, last))


def outcome_of(status: "RunnerStatus", seconds: float, *, publishes: bool) -> tuple[ExitCode, str]:
    """The exit code of a run, and how far it got. After a failure first what failed, then how to continue."""
    number, verb = (status.records_fetched, "sent") if _only_sends(status) else (status.records_written, "written")
    count = f"{counted(number, 'record')} {verb} in {seconds:.1f} s"
    if status.interrupted:
        return ExitCode.INTERRUPTED, f"{count}{', nothing was published' if publishes else ''}"
    if status.is_success:
        return ExitCode.OK, count
    return ExitCode.CONFIG if status.misses_package else ExitCode.FAILED, _failure(status, number, count)


def notes_on(status: "RunnerStatus", *, publishes: bool, max_iterations: int | None) -> list[str]:
    """Notes after a success: rows that were not delivered, where the others are, how to continue."""
    lines = []
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
    elif _only_sends(status):
        lines.append("All pages are on the queue; the consumer publishes them.")
    elif status.where:
        lines.append(f"Records: {status.where}")
    if status.parts is not None and not status.capped:
        who = "this command" if status.published else "another command"
        lines.append(f"Joined: {counted(status.parts.finished, 'part')} finished here, published by {who}.")
    return lines


def _only_sends(status: "RunnerStatus") -> bool:
    return status.consumer is None and status.stream is None


def _failure(status: "RunnerStatus", number: int, count: str) -> str:
    """``number``: the records that it has committed or sent, ``count`` in words."""
    has_checkpoint = status.resumed_from is not None or number + status.records_rejected > 0
    can_resume = has_checkpoint and not (status.overtaken or status.watermark_refused or status.refused)
    remedy = "; run again to resume after the last checkpoint" if can_resume else ""
    reason = f": {status.error}" if status.error else ""
    return f"({status.causes()}){reason} ({count}{remedy})"
