"""From one request for a page to one message on the queue."""

from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from bizon.common.clock import utc_now
from bizon.common.errors.errors import BizonError, SourceFetchError
from bizon.common.interrupts import in_words, is_for_the_process
from bizon.common.on_error import OnError
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import RecordError, empty_source_frame
from bizon.rows.pages import page_to_frame, records_of
from bizon.source.models import SourceIncrementalState, SourceIteration

if TYPE_CHECKING:
    from bizon.engine.pipeline.run import Run
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.source import AbstractSource


class PageFetcher:
    """Asks the source for one page and turns it into a queue message. Shared by the producer and the stream runner."""

    def __init__(
        self,
        source: "AbstractSource",
        monitor: "AbstractMonitor",
        run: "Run",
        incremental: SourceIncrementalState | None = None,
        on_error: OnError = OnError.FAIL,
        partition: int | None = None,
    ) -> None:
        """``partition``: the number of the one that the source fetches; None for the whole stream. The pages of a part
        of a joined job are a chain of their own, and do not name it."""
        self._source = source
        self._monitor = monitor
        self._run = run
        self._incremental = incremental
        self._on_error = on_error
        self._partition = partition

    def fetch(self, iteration: int, pagination: dict[str, Any]) -> QueueMessage:
        """One page. Raises SourceFetchError, which names stream and iteration, for any fault of the page.

        A record that cannot be encoded is a fault only with ``on_error: fail``; otherwise the page carries it as
        refused.
        """
        began = monotonic()
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
        except Exception as error:  # a generator of records raised it
            if is_for_the_process(error):
                raise
            raise self._failed(iteration, error) from error
        self._monitor.track_source_iteration(frame.height)
        return QueueMessage(
            job_id=self._run.job_id,
            epoch=self._run.epoch,
            iteration=iteration,
            frame=frame,
            extracted_at=extracted_at,
            pagination=pagination,
            next_state=next_state,
            partition=self._partition if self._run.part is None else None,
            fetch_seconds=monotonic() - began,
            state_length=length + state_length,
        )

    def end(self, iteration: int, signal: Signal) -> QueueMessage:
        """The message that ends the stream."""
        return end_of_stream(self._run, iteration, signal)

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
        """The value as a resumed run would read it back, so that both see the same; and its length in bytes of JSON."""
        try:
            text = orjson.dumps(value)
            return orjson.loads(text), len(text)
        except TypeError as error:
            raise SourceFetchError(f"{self._place(iteration)}: {name} must be JSON: {error}") from None

    def _failed(self, iteration: int, error: Exception) -> SourceFetchError:
        return SourceFetchError(f"{self._place(iteration)}: {in_words(error)}")

    def _place(self, iteration: int) -> str:
        config = self._source.config
        part = "" if self._partition is None else f" partition {self._partition},"
        return f"stream '{config.name}.{config.stream}',{part} iteration {iteration}"


def end_of_stream(run: "Run", iteration: int, signal: Signal) -> QueueMessage:
    """The message that ends the stream, or all that one of several producers sends."""
    return QueueMessage(run.job_id, run.epoch, iteration, empty_source_frame(), utc_now(), signal=signal)
