"""Words and numbers about a run. Pure: nothing is printed here."""

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import ExitCode

if TYPE_CHECKING:
    from bizon.engine.pipeline.models import ProgressSnapshot
    from bizon.engine.runner.models import RunnerStatus

_STEP = 1024
_WHOLE = 10  # records per second, from where on a decimal says nothing


class Conclusion(NamedTuple):
    """What is said at the end of a run: lines for stdout, lines for stderr, the exit code."""

    exit_code: ExitCode
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()


def conclusion(status: "RunnerStatus", seconds: float, *, publishes: bool, max_iterations: int | None) -> Conclusion:
    """How to end. ``publishes``: the sync mode has an output that appears as a whole at the end."""
    sends_only = status.consumer is None and status.stream is None
    number, verb = (status.records_fetched, "sent") if sends_only else (status.records_written, "written")
    count = f"{counted(number, 'record')} {verb} in {seconds:.1f} s"
    if status.interrupted:
        unpublished = ", nothing was published" if publishes else ""
        text = f"Pipeline finished with status Interrupted: {count}{unpublished}; run again to resume"
        return Conclusion(ExitCode.INTERRUPTED, err=(text,))
    if not status.is_success:
        code = ExitCode.CONFIG if status.misses_package else ExitCode.FAILED
        return Conclusion(code, err=(_failure(status, count),))
    lines = ["Pipeline finished successfully."]
    if status.records_rejected:
        rejected = counted(status.records_rejected, "record")
        lines.append(
            f"Dead letters: {rejected} in {status.dead_letters}" if status.dead_letters else f"Skipped: {rejected}"
        )
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


def _failure(status: "RunnerStatus", count: str) -> str:
    """First what failed, then how far the run came and how to go on."""
    goes_on = not (status.overtaken or status.watermark_refused)
    remedy = "; run again to resume after the last checkpoint" if goes_on else ""
    reason = f": {status.error}" if status.error else ""
    return f"Error: Pipeline finished with status Failure ({status.causes()}){reason} ({count}{remedy})"


def progress_line(snapshot: "ProgressSnapshot", seconds: float) -> str:
    """``1,200 of 5,000 records (350/s), 12 pages, 3.4 MB, 1,000 written, ETA 0:00:11``.

    Records and pages are those of the job, with what earlier starts committed; the rate is that of this start.
    """
    fetched, total = snapshot.records_before + snapshot.records_fetched, expected_total(snapshot)
    is_half = not snapshot.pages and snapshot.records_written > 0  # the pages are fetched by another command
    done = snapshot.records_written if is_half else snapshot.records_fetched
    rate = done / seconds if seconds > 0 else 0.0
    shown_rate = f"({rate:,.{1 if rate < _WHOLE else 0}f}/s)"
    of_total = "" if total is None else f" of {total:,}"
    parts = [
        f"{fetched:,}{of_total} records {shown_rate}",
        counted(snapshot.pages_before + snapshot.pages, "page"),
        size(snapshot.bytes_fetched),
        f"{snapshot.records_before + snapshot.records_written:,} written",
    ]
    if is_half:
        parts = [f"{snapshot.records_written:,} written {shown_rate}"]
    if snapshot.records_rejected:
        parts.append(f"{snapshot.records_rejected:,} rejected")
    if snapshot.lag is not None:
        parts.append(f"lag {counted(snapshot.lag, 'record')}")
    if total is not None and rate > 0 and total > fetched:
        parts.append(f"ETA {timedelta(seconds=round((total - fetched) / rate))}")
    return ", ".join(parts)


def expected_total(snapshot: "ProgressSnapshot") -> int | None:
    """How many records the job is to have; None when the source did not say, or said fewer than there are."""
    total = snapshot.total_records
    return None if total is None or snapshot.records_before + snapshot.records_fetched > total else total


def duration(seconds: float) -> str:
    """``42 s``, ``3 min``, ``5 h``, ``2 days``."""
    minute, hour, day = 60, 3600, 86_400
    if seconds < 2 * minute:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 2 * hour:
        return f"{seconds / minute:.0f} min"
    return f"{seconds / hour:.0f} h" if seconds < 2 * day else f"{seconds / day:.0f} days"


def counted(number: int, noun: str) -> str:
    """``1 page``, ``1,200 pages``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("B", "kB", "MB"):
        if number < _STEP:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} GB"
