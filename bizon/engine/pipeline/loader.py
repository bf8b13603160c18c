"""The commit point: the only place that writes to a destination, records a checkpoint, and publishes.

The protocol of a batch:

1. Take the batch out of the buffer.
2. If it has rows, ``write_records``, once per table. ``False`` or an exception becomes DestinationWriteError; one that
   is retryable is tried again, within a bound; then nothing is recorded. Refused rows become dead letters.
3. Once the rows have landed, with most destinations when 2 returns, insert the destination cursor, in the order of the
   pages: first and last page, rows, pagination of the last page. One row, one transaction.
4. Ack the queue, call the source callback, then the monitor.

A process that dies between 2 and 3 leaves rows that no cursor vouches for: ``prepare`` removes them at the next start.
A process that dies between 3 and 4 leaves pages unacknowledged: they arrive again and are recognised as a repeat.

To publish:

5. Reconcile: staging must hold the rows of every destination cursor, unchanged (``verify``), or nothing is published.
6. ``finalize``, for the dead letters, then for the output.
7. Note which output was published: the next watermark belongs to it.

Invariants: a cursor exists only for a batch whose write returned true and whose rows have landed (I1); the cursors of a
job are contiguous, a gap is refused and a repeat skipped (I2); ``finalize`` runs only when asked for by an end that was
complete (I3).
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from bizon.common.errors.errors import (
    DestinationWriteError,
    FinalizeError,
    QueueError,
    RowsRejectedError,
)
from bizon.common.on_error import OnError
from bizon.common.safe_log import logger
from bizon.destination.dead_letters import DeadLetters
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import BatchRange, ResumePoint
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, StreamKey
from bizon.engine.pipeline.failures import publishing, writing
from bizon.engine.pipeline.models import Batch, Progress, WrittenBatch
from bizon.engine.pipeline.retries import with_retries
from bizon.engine.pipeline.watermark import check_watermark, published_output
from bizon.monitoring.monitor import AbstractMonitor
from bizon.rows.frames import DESTINATION_COLUMNS, rows_by_table
from bizon.rows.rejects import no_rejects, split_rejected, without_refused
from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.models import SourceIteration

Ack = Callable[[int], None]
"""Told the last committed page."""


@dataclass(kw_only=True)
class Loader:
    """Writes, then records. One per run, used by the consuming side on one thread.

    ``routed``: rows go to the table their record names, else to the configured one; otherwise all go to the latter.
    """

    destination: AbstractDestination
    backend: AbstractBackend
    key: StreamKey
    resume: ResumePoint
    epoch: int
    ack: Ack
    callback: AbstractSourceCallback
    monitor: AbstractMonitor
    progress: Progress
    routed: bool
    dead_letters: DeadLetters = field(default_factory=DeadLetters)
    sleep: Callable[[float], None] = time.sleep
    _next_iteration: int = field(init=False)
    _waiting: deque[WrittenBatch] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self._next_iteration = self.resume.next_iteration

    @property
    def next_iteration(self) -> int:
        """The first page that is not written yet."""
        return self._next_iteration

    @property
    def tells_every_page(self) -> bool:
        """Whether the callback of the source is to get the pagination of each page, not only of the last one."""
        return not isinstance(self.callback, NoOpSourceCallback)

    def prepare(self) -> None:
        """Make staging hold exactly the committed pages. Called once, before the first batch."""
        check_watermark(self.destination.output(), self.resume)
        self.destination.prepare(self.resume)
        self.dead_letters.prepare(self.resume)

    def write(self, batch: Batch) -> None:
        """Steps 2 to 4 for one batch. Raises DestinationWriteError, BackendError, or QueueError on a gap."""
        if batch.to_iteration < self._next_iteration:
            logger.debug(f"pages {batch.from_iteration}-{batch.to_iteration} are written already, skipped")
            if not self._waiting or batch.to_iteration < self._waiting[0].first:
                self.ack(batch.to_iteration)
            return
        if batch.from_iteration != self._next_iteration:
            raise QueueError(
                f"page {self._next_iteration} is missing, the queue delivered {batch.from_iteration}; "
                f"run again to resume"
            )
        rows, rejected = split_rejected(batch.frame)
        default = self.destination.default_destination_id
        for destination_id, table in rows_by_table(rows, default) if self.routed else [(default, rows)]:
            rejected.vstack(self._write_table(batch, destination_id, table), in_place=True)
        letters, file = self.dead_letters.of(rejected), self.dead_letters.destination
        if letters.height and file is not None:
            self._write(file, batch, file.default_destination_id, letters)
        written = batch.frame.height - rejected.height
        self._next_iteration = batch.to_iteration + 1
        receipts = (
            self.destination.receipt() if written else None,
            file.receipt() if letters.height and file is not None else None,
        )
        self._waiting.append(WrittenBatch(batch.pages, written, rejected.height, letters.height, *receipts))
        self.settle(wait=False)

    def settle(self, *, wait: bool) -> None:
        """Steps 3 and 4 for what has landed; ``wait``: for all that was written. Called again when there is nothing to
        write. Raises DestinationWriteError, BackendError."""
        if not self._waiting:
            return
        landed = self.destination.landed(wait=wait) if any(each.written for each in self._waiting) else -1
        while self._waiting and (not self._waiting[0].written or self._waiting[0].last <= landed):
            batch = self._waiting[0]
            self._record(batch)
            self._waiting.popleft()
            self._acknowledge(batch)

    def publish(self) -> None:
        """Steps 5 to 7. Raises FinalizeError, and OvertakenError in a superseded run."""
        self.settle(wait=True)
        self.backend.check_epoch(self.resume.job_id, self.epoch)
        cursors = self.backend.committed(self.resume.job_id).cursors
        outputs = [(self.destination, [cursor.batch for cursor in cursors])]
        if self.dead_letters.destination is not None:
            outputs.insert(0, (self.dead_letters.destination, [cursor.letters for cursor in cursors]))
        with publishing():
            for destination, committed in outputs:
                destination.verify(committed)
            for destination, _ in outputs:
                if destination.finalize() is not True:
                    raise FinalizeError("publishing failed: the destination's finalize() did not return True")
        self.backend.note_output(self.resume.job_id, published_output(self.destination.output()), epoch=self.epoch)

    def _write_table(self, batch: Batch, destination_id: str, rows: pl.DataFrame) -> pl.DataFrame:
        """One table of a batch, without the rows that the destination refuses, which are returned."""
        rejected = no_rejects(rows)
        while rows.height:
            try:
                self._write(self.destination, batch, destination_id, rows[DESTINATION_COLUMNS])
                break
            except RowsRejectedError as error:
                rows, refused = without_refused(rows, error.reasons)
                if self.dead_letters.on_error is OnError.FAIL or not refused.height:
                    raise DestinationWriteError(f"{self._where(batch, destination_id)}: {error}") from error
                rejected.vstack(refused, in_place=True)
        return rejected

    def _write(self, destination: AbstractDestination, batch: Batch, destination_id: str, rows: pl.DataFrame) -> None:
        destination.batch = BatchRange(batch.from_iteration, batch.to_iteration)
        destination.destination_id = destination_id
        with_retries(lambda: self._write_once(destination, batch, rows), self.sleep)

    def _write_once(self, destination: AbstractDestination, batch: Batch, rows: pl.DataFrame) -> None:
        where = self._where(batch, destination.destination_id)
        with writing(where), self.monitor.trace("destination.write"):
            written, reason = destination.write_records(rows)
        if written is not True:
            raise DestinationWriteError(f"{where}: {reason or 'the destination gave no reason'}")

    def _record(self, batch: WrittenBatch) -> None:
        last = batch.pages[-1]
        states = [page.next_state for page in batch.pages if page.next_state is not None]
        self.backend.create_destination_cursor(
            CommitRecord(
                job_id=self.resume.job_id,
                epoch=self.epoch,
                key=self.key,
                destination_name=self.destination.sync_metadata.destination_name,
                from_source_iteration=batch.first,
                to_source_iteration=batch.last,
                rows_written=batch.written,
                dead_letters=batch.dead_letters,
                pagination=last.pagination,
                next_state=states[-1] if states else None,
                extends=self.routed,
                receipt=batch.receipt,
                letters_receipt=batch.letters_receipt,
            )
        )

    def _acknowledge(self, batch: WrittenBatch) -> None:
        self.ack(batch.last)
        self.callback.on_iterations_written(
            [SourceIteration(next_pagination=page.pagination, next_state=page.next_state) for page in batch.pages]
        )
        self.progress.committed(batch.written, batch.rejected)
        self.monitor.track_records_synced(batch.written, self.destination.default_destination_id)
        logger.debug(f"committed pages {batch.first}-{batch.last}: {batch.written} records")

    def _where(self, batch: Batch, destination_id: str) -> str:
        pages = f"pages {batch.from_iteration}-{batch.to_iteration}"
        return f"writing {pages} to '{destination_id}' failed, nothing was recorded"
