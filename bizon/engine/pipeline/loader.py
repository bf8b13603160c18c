"""The commit point: the only place that writes to a destination, records a checkpoint, and publishes.

The protocol of a batch:

1. Take the batch out of the buffer.
2. If it has rows, ``write_records``, once per table. ``False`` or an exception becomes DestinationWriteError; a
   retryable one is retried, within a bound; after that nothing is recorded. Refused rows become dead letters.
3. Once the rows have landed (with most destinations when 2 returns), insert the destination cursor, in page order:
   first and last page, rows, pagination of the last page. One row, one transaction.
4. Ack the queue, call the source callback, then the monitor.

A process that dies between 2 and 3 leaves rows that no cursor vouches for: ``prepare`` removes them at the next start.
A process that dies between 3 and 4 leaves pages unacknowledged: they arrive again and are recognised as repeats.

To publish:

5. Reconcile: staging must hold the rows of every destination cursor, unchanged (``verify``), or nothing is published.
6. ``finalize``, for the dead letters, then for the output.
7. Note which output was published: the next watermark belongs to it.

Invariants: a cursor exists only for a batch whose write returned true and whose rows have landed (I1); the cursors of a
job are contiguous, a gap is refused and a repeat skipped (I2), and so are the pages of each partition; ``finalize``
runs only for an end that was complete (I3), when no partition is left. The loader of a part of a joined job never
publishes: one run does that for all parts (``ResumePoint.parts``).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import DestinationWriteError, FinalizeError, QueueError, RowsRejectedError
from bizon.common.safe_log import logger
from bizon.common.waiting import rest
from bizon.destination.dead_letters import DeadLetters
from bizon.engine.pipeline.failures import publishing, with_retries, writing
from bizon.engine.pipeline.models import Batch, Progress, TableRows, WrittenBatch
from bizon.engine.pipeline.watermark import check_watermark, published_output
from bizon.rows.frames import DESTINATION_COLUMNS, rows_by_table
from bizon.rows.rejects import split_rejected, without_refused
from bizon.source.models import SourceIteration

if TYPE_CHECKING:
    from bizon.destination.destination import AbstractDestination
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Positions
    from bizon.engine.pipeline.run import Run
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback


@dataclass(kw_only=True)
class Loader:
    """Writes, then records. One per run, used by the consuming side on one thread. ``ack``: called with the last
    committed page."""

    destination: "AbstractDestination"
    dead_letters: DeadLetters = field(default_factory=DeadLetters)
    backend: "AbstractBackend"
    run: "Run"
    ack: Callable[[int], None]
    callback: "AbstractSourceCallback"
    monitor: "AbstractMonitor"
    progress: Progress
    sleep: Callable[[float], None] = field(init=False, default_factory=lambda: rest)
    _next_iteration: int = field(init=False)
    _positions: "Positions" = field(init=False)
    _waiting: deque[WrittenBatch] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self._next_iteration = self.run.resume.next_iteration
        self._positions = self.run.positions

    @property
    def next_iteration(self) -> int:
        """The first page that is not written yet."""
        return self._next_iteration

    @property
    def reports_every_page(self) -> bool:
        """Whether the source callback gets the pagination of each page, not only of the last one."""
        return self.callback.needs_every_page

    @property
    def _is_stream(self) -> bool:
        """Sync mode ``stream``: rows go to the table their record names, and the job has one cursor, which advances."""
        return self.destination.sync_metadata.in_place

    def prepare(self) -> None:
        """Make staging hold exactly the committed pages. Called once, before the first batch."""
        check_watermark(self.destination.output(), self.run.resume)
        self.destination.prepare(self.run.resume)
        self.dead_letters.prepare(self.run.resume)

    def write(self, batch: Batch) -> None:
        """Steps 2 to 4 for one batch. Raises DestinationWriteError, BackendError, or QueueError on a gap."""
        if batch.to_iteration < self._next_iteration:
            logger.debug(f"pages {batch.from_iteration}-{batch.to_iteration} are written already, skipped")
            if not self._waiting or batch.to_iteration < self._waiting[0].first:
                self.ack(batch.to_iteration)
            return
        if batch.from_iteration != self._next_iteration:
            missing = f"page {self._next_iteration} is missing, the queue delivered {batch.from_iteration}"
            raise QueueError(f"{missing}; run again to resume")
        written = self._write_tables(batch)
        self._next_iteration = batch.to_iteration + 1
        self._waiting.append(written)
        self.commit(wait=False)

    def commit(self, *, wait: bool) -> None:
        """Steps 3 and 4 for the batches that have landed; ``wait``: for every batch that was written. Also called when
        there is nothing to write. Raises DestinationWriteError, BackendError."""
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
        self.commit(wait=True)
        self.backend.check_epoch(self.run.job_id, self.run.epoch)
        left = self.backend.count_parts_left(self.run.job_id) if self.run.resume.parts else len(self._positions.left)
        if left:
            raise FinalizeError(f"nothing is published: {left} partitions are not exhausted; run again to resume")
        cursors = self.backend.committed(self.run.job_id).cursors
        outputs = [(self.destination, [cursor.batch for cursor in cursors])]
        if self.dead_letters.destination is not None:
            outputs.insert(0, (self.dead_letters.destination, [cursor.letters for cursor in cursors]))
        with publishing():
            for destination, committed in outputs:
                destination.verify(committed)
            for destination, _ in outputs:
                if destination.finalize() is not True:
                    raise FinalizeError("publishing failed: the destination's finalize() did not return True")
        output = published_output(self.destination.output())
        self.backend.note_output(self.run.job_id, output, epoch=self.run.epoch)

    def _write_tables(self, batch: Batch) -> WrittenBatch:
        rows, rejected = split_rejected(batch.frame)
        default, tables, rescued = self.destination.default_destination_id, list[TableRows](), 0
        for destination_id, table in rows_by_table(rows, default) if self._is_stream else [(default, rows)]:
            refused = self._write_table(batch, destination_id, table)
            tables.append(TableRows(destination_id, table.height - sum(each.height for each in refused)))
            rejected = pl.concat([rejected, *refused])
            rescued += self.destination.rescued() if tables[-1].rows else 0
        letters, file = self.dead_letters.to_write(rejected), self.dead_letters.destination
        if letters.height and file is not None:
            self._write(file, batch, file.default_destination_id, letters)
        tables = [table for table in tables if table.rows]
        return WrittenBatch(
            pages=batch.pages,
            tables=tuple(tables),
            rejected=rejected.height,
            dead_letters=letters.height,
            receipt=self.destination.receipt() if tables else None,
            letters_receipt=file.receipt() if letters.height and file is not None else None,
            rescued=rescued,
        )

    def _write_table(self, batch: Batch, destination_id: str, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Write one table of a batch. Returns the rows that the destination refused."""
        refused: list[pl.DataFrame] = []
        while rows.height:
            try:
                self._write(self.destination, batch, destination_id, rows[DESTINATION_COLUMNS])
                break
            except RowsRejectedError as error:
                rows, more = without_refused(rows, error.reasons)
                if self.dead_letters.fails or not more.height:
                    raise DestinationWriteError(f"{self._where(batch, destination_id)}: {error}") from error
                refused.append(more)
        return refused

    def _write(self, destination: "AbstractDestination", batch: Batch, destination_id: str, rows: pl.DataFrame) -> None:
        destination.batch = batch.range
        destination.destination_id = destination_id
        with_retries(lambda: self._write_once(destination, batch, rows), self.sleep)

    def _write_once(self, destination: "AbstractDestination", batch: Batch, rows: pl.DataFrame) -> None:
        where = self._where(batch, destination.destination_id)
        with writing(where), self.monitor.trace("destination.write"):
            written, reason = destination.write_records(rows)
        if written is not True:
            raise DestinationWriteError(f"{where}: {reason or 'the destination gave no reason'}")

    def _record(self, batch: WrittenBatch) -> None:
        positions = self._positions.advanced(batch.origins)
        pagination = positions.as_pagination() if positions.partitions else batch.pages[-1].pagination
        name = self.destination.sync_metadata.destination_name
        self.backend.create_destination_cursor(batch.record(self.run, name, pagination, extends=self._is_stream))
        self._positions = positions

    def _acknowledge(self, batch: WrittenBatch) -> None:
        self.ack(batch.last)
        self.callback.on_iterations_written(
            [SourceIteration(next_pagination=page.pagination, next_state=page.next_state) for page in batch.pages]
        )
        self.progress.committed(batch.written, batch.rejected, batch.rescued)
        for table in batch.tables:
            self.monitor.track_records_synced(table.rows, table.destination_id)
        logger.debug(f"committed pages {batch.first}-{batch.last}: {batch.written} records")

    def _where(self, batch: Batch, destination_id: str) -> str:
        pages = f"pages {batch.from_iteration}-{batch.to_iteration}"
        return f"writing {pages} to '{destination_id}' failed, nothing was recorded"
