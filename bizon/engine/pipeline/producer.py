"""The producing side: ask the source for pages, put them on the queue, say how the stream ended."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from bizon.common.clock import utc_now
from bizon.common.errors.errors import BizonError, QueueError, SourceFetchError
from bizon.common.interrupts import is_for_the_process
from bizon.common.on_error import OnError
from bizon.common.waiting import was_stopped
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import StreamKey
from bizon.engine.pipeline.models import Progress
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.engine.queue.queue import AbstractQueue
from bizon.monitoring.monitor import AbstractMonitor
from bizon.rows.frames import RecordError, empty_source_frame
from bizon.rows.pages import page_to_frame, records_of
from bizon.source.cursor import Cursor
from bizon.source.models import SourceIncrementalState, SourceIteration
from bizon.source.session import refused_by
from bizon.source.source import AbstractSource

_PUT_TIMEOUT = 1.0  # seconds; the wait is repeated, this bounds how long a wake-up can be missed
_CHECKPOINT_REFUSED = (
    "{error}; the API refuses (HTTP {status}) the pagination of the checkpoint that this run resumes from, as many do "
    "once it is old: run with --fresh to start from the first page; after source.checkpoint_max_age a run does so by "
    "itself"
)
_TRIES_ONCE_STOPPED = 30
_USED_UP = 0.001  # of a patience of 1
_TRIES_WHILE_STALLED = 2  # a broker that takes nothing may do so for hours


class StopFlag(Protocol):
    """Set by the runner when the run must end early, or by a worker that failed."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...

    def clear(self) -> None: ...


class Patience:
    """How long is waited for a queue: until the run must end, and then not for long."""

    def __init__(self, queue: AbstractQueue, stop: StopFlag) -> None:
        self._queue = queue
        self._stop = stop
        self._left = 1.0

    def check(self) -> None:
        """Raise QueueError when it is used up; called after each wait of a second."""
        if self._stop.is_set():
            self._left -= 1 / (_TRIES_WHILE_STALLED if self._queue.is_stalled else _TRIES_ONCE_STOPPED)
        if self._left < _USED_UP:
            raise QueueError("the queue has no room, and the run was told to end")


def deliver(queue: AbstractQueue, stop: StopFlag) -> None:
    """Wait until all that was put is safe; once the run must end, not for long: the next one fetches it again."""
    patience = Patience(queue, stop)
    try:
        while not queue.flush(timeout=_PUT_TIMEOUT):
            patience.check()
    except QueueError:
        queue.abandon()
        raise


class PageFetcher:
    """Asks the source for one page and turns it into a queue message. Shared by the producer and the stream runner."""

    def __init__(
        self,
        source: AbstractSource,
        monitor: AbstractMonitor,
        job_id: str,
        epoch: int,
        incremental: SourceIncrementalState | None = None,
        on_error: OnError = OnError.FAIL,
    ) -> None:
        self._source = source
        self._monitor = monitor
        self._job_id = job_id
        self._epoch = epoch
        self._incremental = incremental
        self._on_error = on_error

    def fetch(self, iteration: int, pagination: dict[str, Any]) -> QueueMessage:
        """One page. Raises SourceFetchError, which names stream and iteration, whatever is wrong with the page.

        A record that cannot be encoded is wrong only with ``on_error: fail``; else the page carries it as refused.
        """
        try:
            with self._monitor.trace("source.get"):
                page = self._ask(pagination)
        except BizonError:
            raise
        except Exception as error:
            if is_for_the_process(error):
                raise
            raise self._failed(iteration, error) from error
        extracted_at = utc_now()
        self._check(page, iteration)
        pagination, length = self._as_checkpointed(page.next_pagination, "next_pagination", iteration)
        next_state, state_length = self._as_checkpointed(page.next_state, "next_state", iteration)
        records = records_of(page)
        del page
        try:
            frame = page_to_frame(records, extracted_at, refuse=self._on_error is not OnError.FAIL)
        except RecordError as error:
            raise SourceFetchError(f"{self._place(iteration)}: {error}") from None
        except BizonError:
            raise
        except Exception as error:  # records that are made while they are read
            if is_for_the_process(error):
                raise
            raise self._failed(iteration, error) from error
        self._monitor.track_source_iteration(frame.height)
        return QueueMessage(
            job_id=self._job_id,
            epoch=self._epoch,
            iteration=iteration,
            frame=frame,
            extracted_at=extracted_at,
            pagination=pagination,
            next_state=next_state,
            state_length=length + state_length,
        )

    def end(self, iteration: int, signal: Signal) -> QueueMessage:
        """The message that ends the stream."""
        return QueueMessage(self._job_id, self._epoch, iteration, empty_source_frame(), utc_now(), signal=signal)

    def _ask(self, pagination: dict[str, Any]) -> Any:
        if self._incremental is None:
            return self._source.get(pagination)
        return self._source.get_records_after(self._incremental, pagination)

    def _check(self, page: Any, iteration: int) -> None:
        if not isinstance(page, SourceIteration):
            raise SourceFetchError(
                f"{self._place(iteration)}: the source returned {type(page).__name__}, not a SourceIteration"
            )
        if not isinstance(page.next_pagination, dict):
            raise SourceFetchError(
                f"{self._place(iteration)}: next_pagination must be a dict, {{}} when done, "
                f"not {type(page.next_pagination).__name__}"
            )

    def _as_checkpointed(self, value: Any, name: str, iteration: int) -> tuple[Any, int]:
        """The value as a resumed run would read it back, so that both see the same; and its length."""
        try:
            text = orjson.dumps(value)
            return orjson.loads(text), len(text)
        except TypeError as error:
            raise SourceFetchError(f"{self._place(iteration)}: {name} must be JSON: {error}") from None

    def _failed(self, iteration: int, error: Exception) -> SourceFetchError:
        return SourceFetchError(f"{self._place(iteration)}: {type(error).__name__}: {error}")

    def _place(self, iteration: int) -> str:
        config = self._source.config
        return f"stream '{config.name}.{config.stream}', iteration {iteration}"


class ProducerEnd(NamedTuple):
    """``capped`` by max_iterations, or ``stopped`` by the stop flag; else the source is exhausted."""

    capped: bool = False
    stopped: bool = False


class Producer:
    """The loop. Runs on one thread; raises the error that ends it: the worker then sends the ABORTED end."""

    def __init__(
        self,
        *,
        fetcher: PageFetcher,
        queue: AbstractQueue,
        backend: AbstractBackend,
        key: StreamKey,
        cursor: Cursor,
        replayed: Iterator[QueueMessage],
        progress: Progress,
        stop: StopFlag,
        max_iterations: int | None,
        note_every: int,
    ) -> None:
        self._fetcher = fetcher
        self._queue = queue
        self._backend = backend
        self._key = key
        self._cursor = cursor
        self._replayed = replayed
        self._progress = progress
        self._stop = stop
        self._max_iterations = max_iterations
        self._note_every = note_every

    def run(self, exhausted: bool) -> ProducerEnd:
        """Fetch until the source is exhausted, the cap is reached or the stop flag is set, and send the end.

        Pages that an earlier run fetched and kept in its spool are sent first; they do not count for the cap.
        ``exhausted``: an earlier run fetched the last page already; only the COMPLETE end is sent.
        """
        end = ProducerEnd() if exhausted else self._fetch_all()
        self.send_end(Signal.ABORTED if end.capped or end.stopped else Signal.COMPLETE)
        return end

    def send_end(self, signal: Signal) -> None:
        """Tell the consumer that nothing follows, and how it ended."""
        self._put(self._fetcher.end(self._cursor.iteration, signal))

    def _fetch_all(self) -> ProducerEnd:
        for message in self._replayed:
            self._hand_over(message)
        fetched = 0
        while not self._cursor.is_finished:
            if self._stop.is_set():
                return ProducerEnd(stopped=True)
            if fetched == self._max_iterations:
                return ProducerEnd(capped=True)
            try:
                message = self._fetcher.fetch(self._cursor.iteration, self._cursor.pagination)
            except BizonError as error:
                if was_stopped(error):
                    return ProducerEnd(stopped=True)
                if fetched == 0 and self._cursor.iteration and (status := refused_by(error)) is not None:
                    raise SourceFetchError(_CHECKPOINT_REFUSED.format(error=error, status=status)) from error
                raise
            self._hand_over(message)
            fetched += 1
            if self._cursor.iteration % self._note_every == 0 and not self._cursor.is_finished:
                self._note_position()
        return ProducerEnd()

    def _hand_over(self, message: QueueMessage) -> None:
        self._cursor.update_state(message.pagination, message.frame.height)
        self._put(message)
        self._progress.fetched(message.frame.height, message.size)

    def _put(self, message: QueueMessage) -> None:
        """Wait for room: the consumer is writing, or its host is away. Once the run must end, not for long."""
        patience = Patience(self._queue, self._stop)
        while not self._queue.put(message, timeout=_PUT_TIMEOUT):
            patience.check()

    def _note_position(self) -> None:
        self._backend.create_source_cursor(
            job_id=self._cursor.job_id,
            key=self._key,
            iteration=self._cursor.iteration,
            rows_fetched=self._cursor.rows_fetched,
            next_pagination=self._cursor.pagination,
        )
