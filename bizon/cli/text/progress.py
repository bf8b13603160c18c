"""Progress during a run: live on a terminal, a log line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from bizon.cli.text.console_logs import write_to_stderr
from bizon.cli.text.words import counted, size
from bizon.common.safe_log import logger
from bizon.common.ticking import Ticker

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress

    from bizon.engine.pipeline.models import ProgressSnapshot

_LIVE_EVERY = 0.25  # seconds
_LINE_EVERY = 10.0  # seconds
_THREAD = "bizon-progress"
_BAR = 20  # columns; fewer on a narrow terminal, where the words are cut instead
_WHOLE = 10  # records per second; above this rate a decimal adds nothing
Poll = Callable[[], "ProgressSnapshot"]
Write = Callable[[str], None]
"""Writes a log line, above the live display if there is one. Any thread may call it."""


def progress_shown(poll: Poll) -> "AbstractContextManager[Write]":
    """Within: show on stderr how far the run is. See ``shown_by``; ``poll`` is called on a thread of its own."""
    return shown_by(LineProgress(poll), lambda display: _live_line(poll, display))


@contextmanager
def shown_by(log_lines: Callable[[], None], live: "Callable[[Progress], Callable[[], None]]") -> Iterator[Write]:
    """Within: a separate thread shows on stderr how far a run is. On a terminal it calls what ``live`` returns for its
    display several times a second, elsewhere ``log_lines`` every few seconds.

    Yields a function that writes a log line to stderr, above the live display if there is one. Any thread may call it.
    """
    if not sys.stderr.isatty():
        with Ticker(log_lines, _LINE_EVERY, name=_THREAD):
            yield write_to_stderr
        return
    with _live_display() as (display, write_above), Ticker(live(display), _LIVE_EVERY, name=_THREAD):
        yield write_above


def _live_line(poll: Poll, display: "Progress") -> Callable[[], None]:
    task = display.add_task("starting", total=None)
    started = time.monotonic()

    def show() -> None:
        snapshot = poll()
        line = progress_line(snapshot, time.monotonic() - started)
        fetched = snapshot.records_before + snapshot.records_fetched
        display.update(task, description=line, completed=fetched, total=expected_total(snapshot))

    return show


@contextmanager
def _live_display() -> "Iterator[tuple[Progress, Write]]":
    """Within: a live display on the terminal, which shows a line per task, and a function that writes above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class CursorStays(Console):
        """Never hides the cursor, so that no end of the process, not even a kill, leaves it hidden."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = CursorStays(stderr=True)
    words = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=min(_BAR, console.width // 4)),
        TextColumn("{task.description}", markup=False, table_column=words),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, expand=True) as display:
        yield display, lambda text: console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)


class LineProgress:
    """Logs a line at each call, unless nothing has changed since the last one. ``name``: of the stream, of several."""

    def __init__(self, poll: Poll, clock: Callable[[], float] = time.monotonic, name: str | None = None) -> None:
        self._poll = poll
        self._prefix = "" if name is None else f"{name}: "
        self._clock = clock
        self._started = clock()
        self._last = poll()

    def __call__(self) -> None:
        snapshot = self._poll()
        if snapshot != self._last:
            self._last = snapshot
            logger.info(f"{self._prefix}{progress_line(snapshot, self._clock() - self._started)}")


def progress_line(snapshot: "ProgressSnapshot", seconds: float) -> str:
    """``1,200 of 5,000 records (350/s), 12 pages, 3.4 MB, 1,000 written, ETA 0:00:11``.

    Records and pages count the whole job, including everything that earlier starts committed. The rate counts this
    start only.
    """
    fetched, total = snapshot.records_before + snapshot.records_fetched, expected_total(snapshot)
    only_writes = not snapshot.pages and snapshot.records_written > 0  # another command fetches the pages
    done = snapshot.records_written if only_writes else snapshot.records_fetched
    rate = done / seconds if seconds > 0 else 0.0
    shown_rate = f"({rate:,.{1 if rate < _WHOLE else 0}f}/s)"
    of_total = "" if total is None else f" of {total:,}"
    parts = [
        f"{fetched:,}{of_total} records {shown_rate}",
        counted(snapshot.pages_before + snapshot.pages, "page"),
        size(snapshot.bytes_fetched),
        f"{snapshot.records_before + snapshot.records_written:,} written",
    ]
    if only_writes:
        parts = [f"{snapshot.records_written:,} written {shown_rate}"]
    if snapshot.records_rejected:
        parts.append(f"{snapshot.records_rejected:,} rejected")
    if snapshot.lag is not None:
        parts.append(f"lag {counted(snapshot.lag, 'record')}")
    if total is not None and rate > 0 and total > fetched:
        parts.append(f"ETA {timedelta(seconds=round((total - fetched) / rate))}")
    return ", ".join(parts)


def expected_total(snapshot: "ProgressSnapshot") -> int | None:
    """The number of records in the job; None when the source gave none, or a number that is already exceeded."""
    total = snapshot.total_records
    return None if total is None or snapshot.records_before + snapshot.records_fetched > total else total
