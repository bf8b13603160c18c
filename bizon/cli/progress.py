"""Progress while a run is on: live on a terminal, a log line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

from bizon.cli.logs import write_to_stderr
from bizon.cli.render import expected_total, progress_line
from bizon.common.ticking import Ticker

if TYPE_CHECKING:
    from bizon.engine.pipeline.models import ProgressSnapshot

_LIVE_EVERY = 0.25  # seconds
_LINE_EVERY = 10.0  # seconds
_THREAD = "bizon-progress"
_BAR = 20  # columns; less on a narrow terminal, where the words are cut instead

Poll = Callable[[], "ProgressSnapshot"]


@contextmanager
def progress_shown(poll: Poll) -> Iterator[Callable[[str], None]]:
    """Within: show how far the run is, on stderr. ``poll`` is called on a thread of its own.

    Yields what writes a log line to stderr, above the live display where there is one; it may be called from any
    thread.
    """
    if not sys.stderr.isatty():
        with Ticker(LineProgress(poll), _LINE_EVERY, name=_THREAD):
            yield write_to_stderr
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class CursorStays(Console):
        """The cursor is never hidden, so that no end of the process, not even a kill, can leave it hidden."""

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
        task = display.add_task("starting", total=None)
        started = time.monotonic()

        def show() -> None:
            snapshot = poll()
            line = progress_line(snapshot, time.monotonic() - started)
            fetched = snapshot.records_before + snapshot.records_fetched
            display.update(task, description=line, completed=fetched, total=expected_total(snapshot))

        with Ticker(show, _LIVE_EVERY, name=_THREAD):
            yield lambda text: console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)


class LineProgress:
    """Logs a line each time it is called, unless nothing has changed since."""

    def __init__(self, poll: Poll, clock: Callable[[], float] = time.monotonic) -> None:
        self._poll = poll
        self._clock = clock
        self._started = clock()
        self._last = poll()

    def __call__(self) -> None:
        snapshot = self._poll()
        if snapshot != self._last:
            self._last = snapshot
            logger.info(progress_line(snapshot, self._clock() - self._started))
