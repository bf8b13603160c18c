"""The commit point: the only place that writes to a destination, records a checkpoint, and publishes.

The protocol of a batch:

1. Take the batch out of the buffer.
2. If it has rows, ``write_records``, once per table. ``False`` or an exception becomes DestinationWriteError; one that
   is retryable is tried again, within a bound; then nothing is recorded.
3. Insert the destination cursor: first and last page, rows, pagination of the last page. One row, one transaction.
4. Ack the queue, call the source callback, then the monitor.

A process that dies between 2 and 3 leaves rows that no cursor vouches for: ``prepare`` removes them at the next start.
A process that dies between 3 and 4 leaves pages unacknowledged: they arrive again and are recognised as a repeat.

Invariants: a cursor exists only for a batch whose write returned true (I1); the cursors of a job are contiguous, a gap
is refused and a repeat skipped (I2); ``finalize`` runs only when asked for by an end that was complete (I3).
"""

import time
from collections.abc import Callable

import polars as pl
from loguru import logger

from bizon.common.errors.errors import DestinationError, DestinationWriteError, FinalizeError, QueueError
from bizon.common.frames import DESTINATION_COLUMNS
from bizon.destination.destination import AbstractDestination, BatchRange
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, StreamKey
from bizon.engine.pipeline.models import Batch, Progress, ResumePoint
from bizon.monitoring.monitor import AbstractMonitor
from bizon.source.callback import AbstractSourceCallback
from bizon.source.models import SourceIteration

RETRY_WAITS = (1, 2, 4, 8, 15)
"""Seconds between tries of a write that failed with ``DestinationWriteError(..., retryable=True)``; then the run fails,
and the next one resumes."""

Ack = Callable[[int], None]
"""Told the last committed page."""


class Loader:
    """Writes, then records. One per run, used by the consuming side on one thread.

    ``routed``: rows go to the table their record names, else to the configured one; otherwise all go to the latter.
    """

    def __init__(
        self,
        *,
        destination: AbstractDestination,
        backend: AbstractBackend,
        key: StreamKey,
        resume: ResumePoint,
        epoch: int,
        ack: Ack,
        callback: AbstractSourceCallback,
        monitor: AbstractMonitor,
        progress: Progress,
        routed: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._destination = destination
        self._backend = backend
        self._key = key
        self._resume = resume
        self._epoch = epoch
        self._ack = ack
        self._callback = callback
        self._monitor = monitor
        self._progress = progress
        self._routed = routed
        self._sleep = sleep
        self._next_iteration = resume.next_iteration

    @property
    def next_iteration(self) -> int:
        """The first page that is not committed yet."""
        return self._next_iteration

    def prepare(self) -> None:
        """Make staging hold exactly the committed pages. Called once, before the first batch."""
        self._destination.prepare(self._resume)

    def write(self, batch: Batch) -> None:
        """Steps 2 to 4 for one batch. Raises DestinationWriteError, BackendError, or QueueError on a gap."""
        if batch.to_iteration < self._next_iteration:
            logger.debug(f"pages {batch.from_iteration}-{batch.to_iteration} are committed already, skipped")
            self._ack(batch.to_iteration)
            return
        if batch.from_iteration != self._next_iteration:
            raise QueueError(
                f"page {self._next_iteration} is missing, the queue delivered {batch.from_iteration}; "
                f"run again to resume"
            )
        if batch.frame.height:
            self._write_rows(batch)
        self._record(batch)
        self._next_iteration = batch.to_iteration + 1
        self._acknowledge(batch)

    def publish(self) -> None:
        """Ask the destination to publish. Raises FinalizeError; the next run then publishes without fetching."""
        try:
            done = self._destination.finalize()
        except FinalizeError:
            raise
        except Exception as error:
            raise FinalizeError(f"publishing failed: {type(error).__name__}: {error}") from error
        if done is not True:
            raise FinalizeError("publishing failed: the destination's finalize() did not return True")

    def _write_rows(self, batch: Batch) -> None:
        self._destination.batch = BatchRange(batch.from_iteration, batch.to_iteration)
        for destination_id, frame in self._tables(batch.frame):
            self._destination.destination_id = destination_id
            self._write_table(batch, frame.select(DESTINATION_COLUMNS))

    def _write_table(self, batch: Batch, rows: pl.DataFrame) -> None:
        """One table of a batch; a failure that says it will pass is waited out, within ``RETRY_WAITS``."""
        for wait in (*RETRY_WAITS, None):
            try:
                return self._write_once(batch, rows)
            except DestinationError as error:
                if wait is None or not error.retryable:
                    raise
                logger.warning(f"{error}; trying again in {wait} s")
                self._sleep(wait)

    def _write_once(self, batch: Batch, rows: pl.DataFrame) -> None:
        try:
            with self._monitor.trace("destination.write"):
                written, reason = self._destination.write_records(rows)
        except DestinationError:
            raise
        except Exception as error:
            raise DestinationWriteError(
                f"{self._where(batch)}: {type(error).__name__}: {error}",
                retryable=bool(getattr(error, "retryable", False)),
            ) from error
        if written is not True:
            raise DestinationWriteError(f"{self._where(batch)}: {reason or 'the destination gave no reason'}")

    def _tables(self, frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
        default = self._destination.default_destination_id
        if not self._routed or frame["destination_id"].null_count() == frame.height:
            return [(default, frame)]
        routed = frame.with_columns(pl.col("destination_id").fill_null(default))
        return [(str(name[0]), rows) for name, rows in routed.group_by("destination_id", maintain_order=True)]

    def _record(self, batch: Batch) -> None:
        last = batch.pages[-1]
        states = [page.next_state for page in batch.pages if page.next_state is not None]
        self._backend.create_destination_cursor(
            CommitRecord(
                job_id=self._resume.job_id,
                epoch=self._epoch,
                key=self._key,
                destination_name=self._destination.sync_metadata.destination_name,
                from_source_iteration=batch.from_iteration,
                to_source_iteration=batch.to_iteration,
                rows_written=batch.frame.height,
                pagination=last.pagination,
                next_state=states[-1] if states else None,
            )
        )

    def _acknowledge(self, batch: Batch) -> None:
        self._ack(batch.to_iteration)
        self._callback.on_iterations_written(
            [SourceIteration(next_pagination=page.pagination, next_state=page.next_state) for page in batch.pages]
        )
        self._progress.written(batch.frame.height)
        self._monitor.track_records_synced(batch.frame.height, self._destination.default_destination_id)
        logger.debug(f"committed pages {batch.from_iteration}-{batch.to_iteration}: {batch.frame.height} records")

    def _where(self, batch: Batch) -> str:
        return (
            f"writing pages {batch.from_iteration}-{batch.to_iteration} to "
            f"'{self._destination.destination_id}' failed, nothing was recorded"
        )
