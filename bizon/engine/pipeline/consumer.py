"""The consuming side: take pages from the queue, transform them, hand them to the loader, end as the producer ended."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from bizon.common.errors.errors import OvertakenError, QueueError
from bizon.common.safe_log import logger
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.pipeline.marks import Marks
from bizon.engine.pipeline.models import Batch, PageMark
from bizon.engine.pipeline.partition_order import PartitionOrder
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import SourcePage, to_destination_frame

if TYPE_CHECKING:
    from bizon.destination.buffer import DestinationBuffer
    from bizon.engine.pipeline.loader import Loader
    from bizon.engine.pipeline.run import Run
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.transform.transform import Transform


class Outcome(Enum):
    """How the consuming side ended."""

    PUBLISHED = "published"
    EXHAUSTED = "exhausted"
    """All of its part is committed; another run publishes the job."""
    ABORTED = "aborted"


class EndWatch(Protocol):
    """Notices that the run ends although no end of the stream has arrived."""

    def is_over(self, *, queue_was_empty: bool) -> bool:
        """Called after each look into the queue. True ends the run as an ABORTED end would. Raises QueueError when an
        end that was sent does not arrive."""
        ...


class NeverOver:
    """The ``EndWatch`` for queues that report by themselves that the producer is gone."""

    def is_over(self, *, queue_was_empty: bool) -> bool:
        """Always False."""
        return False


def _never(_: object) -> bool:
    return False


def _always(_: object) -> bool:
    return True


class Consumer:
    """The loop. Runs on one thread; raises the error that ends it, after which ``flush`` may still be called.

    ``is_newer_job`` decides whether a message of another job means that this job was replaced; it is called once per
    job. ``has_started`` decides whether the producer has had a start with this epoch; a message of a later epoch that
    it has not had is forged or damaged. ``producers``: how many send an end, in a job with partitions.
    """

    def __init__(
        self,
        *,
        queue: "AbstractQueue",
        transform: "Transform",
        buffer: "DestinationBuffer",
        loader: "Loader",
        run: "Run",
        poll_interval: float,
        is_newer_job: Callable[[str], bool] = _never,
        has_started: Callable[[int], bool] = _always,
        watch: EndWatch | None = None,
        producers: int = 1,
    ) -> None:
        self._queue = queue
        self._transform = transform
        self._buffer = buffer
        self._loader = loader
        self._in_order = PartitionOrder(run.positions, producers) if run.partitions else InOrder(loader.next_iteration)
        self._run = run
        self._poll_interval = poll_interval
        self._is_newer_job = is_newer_job
        self._has_started = has_started
        self._watch = watch or NeverOver()
        self._old_jobs: set[str] = set()
        self._marks = Marks()
        self.outcome: Outcome | None = None
        """None while the stream has not ended."""

    def run(self) -> Outcome:
        """Consume until the end of the stream."""
        while self.outcome is None:
            message = self._queue.get(timeout=self._patience())
            if message is not None:
                self.handle(message)
            self._in_order.check()
            self.flush_if_due()
            if message is None:
                self._loader.commit(wait=False)
            if self.outcome is None and self._ends_early(message is None):
                self.finish()
                self.outcome = Outcome.ABORTED
        return self.outcome

    def handle(self, message: QueueMessage) -> None:
        """Take one message: buffer a page, act on an end. Messages of another job or an older epoch, and repeats, are
        skipped."""
        if message.job_id != self._run.job_id:
            self._skip_other_job(message)
        elif message.epoch < self._run.producer_epoch:
            self._queue.discard(message)
        elif message.epoch > self._run.producer_epoch:
            if self._has_started(message.epoch):
                raise OvertakenError(self._run.job_id)
            where = f"page {message.iteration} of job '{message.job_id}'"
            logger.warning(f"{where} in the queue is skipped: the job had no start {message.epoch}")
            self._queue.discard(message)
        elif self._in_order.is_repeat(message):
            self._queue.discard(message)
        else:
            for each in self._in_order.take(message):
                self._take(each)

    def _ends_early(self, queue_was_empty: bool) -> bool:
        try:
            return self._watch.is_over(queue_was_empty=queue_was_empty)
        except QueueError as error:
            raise QueueError(f"{self._in_order.what_is_missing}: {error}") from error

    def _skip_other_job(self, message: QueueMessage) -> None:
        if message.job_id not in self._old_jobs:
            if self._is_newer_job(message.job_id):
                raise OvertakenError(self._run.job_id)
            self._old_jobs.add(message.job_id)
        self._queue.discard(message)

    def _take(self, message: QueueMessage) -> None:
        if message.signal is not None:
            self._end(message)
            return
        frame = self._transform.apply_transforms(message.frame)
        if not self._buffer.has_room_for(frame):
            self.flush()
        keeps_all = self._loader.reports_every_page
        page = SourcePage(message.page, message.extracted_at, frame, self._run.mark_of(message))
        self._buffer.add(page, state_size=message.state_size if keeps_all else 0)
        mark = PageMark(message.page, message.pagination, message.next_state, message.origin)
        self._marks.add(mark, keeps_all=keeps_all)

    def _end(self, message: QueueMessage) -> None:
        self.finish()
        outcome = Outcome.ABORTED
        if message.signal is Signal.COMPLETE:
            outcome = Outcome.PUBLISHED if self._run.part is None else Outcome.EXHAUSTED
        if outcome is Outcome.PUBLISHED:
            self._loader.publish()
        self._queue.discard(message)
        self.outcome = outcome

    def flush_if_due(self) -> None:
        """Write and commit the buffered pages if the buffer is full or old enough."""
        if self._buffer.is_due():
            self.flush()

    def flush(self) -> None:
        """Write and commit the buffered pages."""
        if self._buffer.is_empty:
            return
        pages, marks = self._buffer.take(), self._marks.take()
        self._loader.write(Batch(to_destination_frame(pages, self._run.job_id), marks))

    def publish(self) -> None:
        """Publish without an end: an earlier start committed all pages."""
        self._loader.publish()
        self.outcome = Outcome.PUBLISHED

    def finish(self) -> None:
        """Write the buffered pages and wait until every batch that was written is committed."""
        self.flush()
        self._loader.commit(wait=True)

    def _patience(self) -> float:
        due = self._buffer.seconds_until_due()
        return self._poll_interval if due is None else min(due, self._poll_interval)
