"""The producing side: fetch pages from the source, put them on the queue, send how the stream ended."""

from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from bizon.common.errors.errors import BizonError, QueueError, SourceFetchError
from bizon.common.waiting import was_stopped
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.source.session import refused_by

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.fetcher import PageFetcher
    from bizon.engine.pipeline.run import Run
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.source.cursor import Cursor

_PUT_TIMEOUT = 1.0  # seconds; the wait is repeated, so this bounds how long a wake-up can be missed
_CHECKPOINT_REFUSED = (
    "{error}; the API refuses (HTTP {status}) the pagination of the checkpoint that this run resumes from, as many do "
    "once it is old: run with --fresh to start from the first page; after source.checkpoint_max_age a run does so by "
    "itself"
)
_TRIES_ONCE_STOPPED = 30
_TRIES_WHILE_STALLED = 2  # a broker that takes nothing may do so for hours
_USED_UP = 0.001  # of a patience of 1


class StopFlag(Protocol):
    """Set by the runner when the run must end early, or by a worker that failed."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...

    def clear(self) -> None: ...


class Patience:
    """Bounds the wait for a queue: unlimited until the run must end, and short from then on."""

    def __init__(self, queue: "AbstractQueue", stop: StopFlag) -> None:
        self._queue = queue
        self._stop = stop
        self._left = 1.0

    def check(self) -> None:
        """Called after each wait of a second. Raises QueueError when the patience is used up."""
        if self._stop.is_set():
            self._left -= 1 / (_TRIES_WHILE_STALLED if self._queue.is_stalled else _TRIES_ONCE_STOPPED)
        if self._left < _USED_UP:
            raise QueueError("the queue has no room, and the run must end")


def deliver(queue: "AbstractQueue", stop: StopFlag) -> None:
    """Wait until every message that was put is safe. Once the run must end, the wait is short: the next run fetches the
    pages again."""
    patience = Patience(queue, stop)
    try:
        while not queue.flush(timeout=_PUT_TIMEOUT):
            patience.check()
    except QueueError:
        queue.abandon()
        raise


def put(queue: "AbstractQueue", stop: StopFlag, message: QueueMessage) -> None:
    """Wait for room: the consumer is writing, or its host is unreachable. The wait is short once the run must end."""
    patience = Patience(queue, stop)
    while not queue.put(message, timeout=_PUT_TIMEOUT):
        patience.check()


class ProducerEnd(Enum):
    """Why the producer stopped fetching."""

    EXHAUSTED = "exhausted"
    CAPPED = "capped by max_iterations"
    STOPPED = "stopped by the stop flag"

    @property
    def status(self) -> PipelineReturnStatus:
        """The status of the worker, whose fetching ended without an error."""
        is_stopped = self is ProducerEnd.STOPPED
        return PipelineReturnStatus.KILLED_BY_RUNNER if is_stopped else PipelineReturnStatus.SUCCESS


class Producer:
    """The loop. Runs on one thread; raises the error that ends it: the worker then sends the ABORTED end.

    ``note_every``: pages between two notes on how far the source was read; None = no notes, for a partition.
    """

    def __init__(
        self,
        *,
        fetcher: "PageFetcher",
        queue: "AbstractQueue",
        backend: "AbstractBackend",
        run: "Run",
        cursor: "Cursor",
        replayed: Iterator[QueueMessage],
        progress: Progress,
        stop: StopFlag,
        max_iterations: int | None,
        note_every: int | None,
    ) -> None:
        self._fetcher = fetcher
        self._queue = queue
        self._backend = backend
        self._run = run
        self._cursor = cursor
        self._replayed = replayed
        self._progress = progress
        self._stop = stop
        self._max_iterations = max_iterations
        self._note_every = note_every
        self.fetched = 0
        """Pages that were asked of the source."""

    def run(self, exhausted: bool) -> ProducerEnd:
        """Fetch until the source is exhausted, the cap is reached or the stop flag is set, and send the end.

        Pages in the spool of an earlier run are sent first; they do not count for the cap. ``exhausted``: an earlier
        run committed the last page already, so only the COMPLETE end is sent.
        """
        end = ProducerEnd.EXHAUSTED if exhausted else self.fetch_all()
        self.send_end(Signal.COMPLETE if end is ProducerEnd.EXHAUSTED else Signal.ABORTED)
        return end

    def send_end(self, signal: Signal) -> None:
        """Send the end: nothing follows, and ``signal`` says how the stream ended."""
        self._put(self._fetcher.end(self._cursor.iteration, signal))

    def abort(self) -> None:
        """Send the end of a stream that was not fetched to its end, unless the consumer has gone, whose error then
        counts."""
        with suppress(QueueError):
            self.send_end(Signal.ABORTED)

    def fetch_all(self) -> ProducerEnd:
        """Fetch until the chain is exhausted, the cap is reached or the stop flag is set. No end is sent."""
        for message in self._replayed:
            self._hand_over(message)
        while not self._cursor.is_finished:
            if self._stop.is_set():
                return ProducerEnd.STOPPED
            if self.fetched == self._max_iterations:
                return ProducerEnd.CAPPED
            try:
                message = self._fetcher.fetch(self._cursor.iteration, self._cursor.pagination)
            except BizonError as error:
                if was_stopped(error):
                    return ProducerEnd.STOPPED
                if self.fetched == 0 and self._cursor.iteration and (status := refused_by(error)) is not None:
                    raise SourceFetchError(_CHECKPOINT_REFUSED.format(error=error, status=status)) from error
                raise
            self._hand_over(message)
            self.fetched += 1
            if self._note_every and not self._cursor.iteration % self._note_every and not self._cursor.is_finished:
                self._note_position()
        return ProducerEnd.EXHAUSTED

    def _hand_over(self, message: QueueMessage) -> None:
        self._cursor.update_state(message.pagination, message.frame.height)
        self._put(message)
        self._progress.fetched(message.frame.height, message.size)

    def _put(self, message: QueueMessage) -> None:
        put(self._queue, self._stop, message)

    def _note_position(self) -> None:
        self._backend.create_source_cursor(
            job_id=self._run.job_id,
            key=self._run.key,
            iteration=self._cursor.iteration,
            rows_fetched=self._cursor.rows_fetched,
            next_pagination=self._cursor.pagination,
        )
