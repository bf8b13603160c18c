"""Rate and lag of a stream that never ends: for the progress line, and in the state for other processes."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.clock import utc_now
from bizon.common.errors.errors import BackendError
from bizon.common.safe_log import logger

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.models import Progress
    from bizon.engine.pipeline.run import Run
    from bizon.source.source import AbstractSource

NOTE_EVERY = 5.0  # seconds


class Throughput:
    """Measures a stream. The stream runner calls ``note_if_due`` after each page. Never fails a run."""

    def __init__(
        self,
        source: "AbstractSource",
        backend: "AbstractBackend",
        run: "Run",
        progress: "Progress",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._source = source
        self._backend = backend
        self._run = run
        self._progress = progress
        self._clock = clock
        self._knows_lag = True
        self._noted_at = clock()
        self._written = progress.snapshot().records_written

    def note_if_due(self) -> None:
        """Note rate and lag, if the last note is ``NOTE_EVERY`` seconds old."""
        seconds = self._clock() - self._noted_at
        if seconds < NOTE_EVERY:
            return
        lag = self._lag()
        self._progress.note_lag(lag)
        written = self._progress.snapshot().records_written
        rate = (written - self._written) / seconds
        self._noted_at, self._written = self._clock(), written
        note = {"records_per_second": round(rate, 1), "lag": lag, "at": utc_now().isoformat()}
        try:
            if self._run.part is None:
                self._backend.note_progress(self._run.job_id, note)
            else:
                self._backend.note_member(self._run.job_id, self._run.part, note)
        except BackendError as error:
            logger.debug(f"rate and lag were not noted: {error}")

    def _lag(self) -> int | None:
        if not self._knows_lag:
            return None
        try:
            return self._source.get_lag()
        except Exception as error:  # noqa: BLE001 - display only, and code of a connector
            logger.warning(f"get_lag failed, progress is shown without it: {error}")
            self._knows_lag = False
            return None
