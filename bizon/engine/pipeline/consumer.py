"""The consuming side: take pages from the queue, transform them, hand them to the loader, end as the producer ended."""

from collections.abc import Callable

from bizon.common.clock import utc_now
from bizon.common.errors.errors import OvertakenError, QueueError
from bizon.common.safe_log import logger
from bizon.destination.buffer import DestinationBuffer
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import Batch, PageMark
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.engine.queue.queue import AbstractQueue
from bizon.rows.frames import SourcePage, to_destination_frame
from bizon.transform.transform import Transform


def _never(_: object) -> bool:
    return False


def _always(_: object) -> bool:
    return True


class Consumer:
    """The loop. Runs on one thread; raises the error that ends it, after which ``flush`` may still be called.

    ``epoch``: messages of an older start of the producer are left out. ``is_newer_job``: whether a message of another
    job means that this one was replaced; asked once per job. ``has_started``: whether the producer has had a start of
    this epoch; a message of a later one that it has not had is forged, or damaged. ``is_over``: looked at after each
    message, and told whether there was none; True ends the loop as an ABORTED end would.
    """

    def __init__(
        self,
        *,
        queue: AbstractQueue,
        transform: Transform,
        buffer: DestinationBuffer,
        loader: Loader,
        job_id: str,
        epoch: int,
        poll_interval: float,
        is_newer_job: Callable[[str], bool] = _never,
        has_started: Callable[[int], bool] = _always,
        is_over: Callable[[bool], bool] = _never,
    ) -> None:
        self._queue = queue
        self._transform = transform
        self._buffer = buffer
        self._loader = loader
        self._in_order = InOrder(loader.next_iteration)
        self._job_id = job_id
        self._epoch = epoch
        self._poll_interval = poll_interval
        self._is_newer_job = is_newer_job
        self._has_started = has_started
        self._is_over = is_over
        self._old_jobs: set[str] = set()
        self._marks: list[PageMark] = []
        self.outcome: bool | None = None

    def run(self) -> bool:
        """Work until the end of the stream. True when the output was published, False when the end was ABORTED."""
        while self.outcome is None:
            message = self._queue.get(timeout=self._patience())
            if message is not None:
                self.handle(message)
            self._in_order.check()
            self.flush_if_due()
            if message is None:
                self._loader.settle(wait=False)
            if self.outcome is None and self._ends_early(message is None):
                self.finish()
                self.outcome = False
        return self.outcome

    def handle(self, message: QueueMessage) -> None:
        """Take one message: a page goes into the buffer, which makes room first; an end is acted on. What is of another
        job, of an older epoch, or came before is left out."""
        if message.job_id != self._job_id:
            self._leave_out(message)
        elif message.epoch < self._epoch:
            self._queue.settle(message)
        elif message.epoch > self._epoch:
            if self._has_started(message.epoch):
                raise OvertakenError(self._job_id)
            where = f"page {message.iteration} of job '{message.job_id}'"
            logger.warning(f"{where} in the queue is skipped: there was no start {message.epoch} of the job")
            self._queue.settle(message)
        elif message.signal is Signal.ABORTED:  # what it follows may be missing for good
            self._end(message)
        elif self._in_order.is_repeat(message):
            self._queue.settle(message)
        else:
            for each in self._in_order.take(message):
                self._take(each)

    def _ends_early(self, was_empty: bool) -> bool:
        try:
            return self._is_over(was_empty)
        except QueueError as error:
            raise QueueError(f"page {self._in_order.next_iteration} is missing: {error}") from error

    def _leave_out(self, message: QueueMessage) -> None:
        if message.job_id not in self._old_jobs:
            if self._is_newer_job(message.job_id):
                raise OvertakenError(self._job_id)
            self._old_jobs.add(message.job_id)
        self._queue.settle(message)

    def _take(self, message: QueueMessage) -> None:
        if message.signal is not None:
            self._end(message)
            return
        frame = self._transform.apply_transforms(message.frame)
        if not self._buffer.has_room_for(frame):
            self.flush()
        keeps_all = self._loader.tells_every_page
        page = SourcePage(message.iteration, message.extracted_at, frame)
        self._buffer.add(page, beside=message.state_size if keeps_all else 0)
        mark = PageMark(message.iteration, message.pagination, message.next_state)
        if self._marks and not keeps_all:  # a checkpoint needs the last pagination and the last state of a batch
            last = self._marks[-1]
            self._marks[-1] = PageMark(last.iteration, {})
            if mark.next_state is None:
                mark = mark._replace(next_state=last.next_state)
        self._marks.append(mark)

    def _end(self, message: QueueMessage) -> None:
        self.finish()
        if message.signal is Signal.COMPLETE:
            self._loader.publish()
        self._queue.settle(message)
        self.outcome = message.signal is Signal.COMPLETE

    def flush_if_due(self) -> None:
        """Write and commit what the buffer holds if it is full or old enough."""
        if self._buffer.is_due():
            self.flush()

    def flush(self) -> None:
        """Write and commit what the buffer holds."""
        if self._buffer.is_empty:
            return
        pages, marks, self._marks = self._buffer.take(), tuple(self._marks), []
        self._loader.write(Batch(to_destination_frame(pages, self._job_id, utc_now()), marks))

    def finish(self) -> None:
        """The same, and wait until all that was written is committed."""
        self.flush()
        self._loader.settle(wait=True)

    def _patience(self) -> float:
        due = self._buffer.seconds_until_due()
        return self._poll_interval if due is None else min(due, self._poll_interval)
