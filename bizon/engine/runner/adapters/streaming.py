"""One thread, no queue: each page goes straight from the source to the loader."""

from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from bizon.common.errors.errors import BackendError, BizonError, DestinationError
from bizon.common.interrupts import is_failure, is_for_the_process
from bizon.common.waiting import was_stopped
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.pipeline.consumer import Consumer
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import PageFetcher, ProducerEnd
from bizon.engine.queue.config import AbstractQueueConfigDetails
from bizon.engine.queue.models import QueueMessage
from bizon.engine.queue.queue import AbstractQueue
from bizon.engine.queue.spool import Spool
from bizon.engine.runner.assembly import (
    build_consumer,
    build_dead_letters,
    build_destination,
    build_fetcher,
    build_loader,
    build_monitor,
    build_producer,
    build_source,
    open_spool,
)
from bizon.engine.runner.faults import failure, status_of
from bizon.engine.runner.gauge import Gauge
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.runner import AbstractRunner
from bizon.engine.runner.workers import (
    announce_total,
    at_work,
    check_destination,
    check_source,
    close_destination,
    source_callback,
    track_end,
)
from bizon.source.config import SourceSyncModes


class InlineQueue(AbstractQueue):
    """Stands where the queue stands in the other runners: ``put`` hands the page to the consumer at once."""

    def __init__(
        self, config: AbstractQueueConfigDetails, on_ack: Callable[[], None], spool: Spool | None = None
    ) -> None:
        super().__init__(config)
        self._on_ack = on_ack
        self._spool = spool
        self._consumer: Consumer | None = None

    def feed(self, consumer: Consumer) -> None:
        """Pages go to this consumer from now on."""
        self._consumer = consumer

    def connect(self) -> None:
        return None

    def put(self, message: QueueMessage, timeout: float) -> bool:
        if self._consumer is not None:
            if self._spool is not None:
                self._spool.note(message)
            self._consumer.handle(message)
            self._consumer.flush_if_due()
        return True

    def get(self, timeout: float) -> QueueMessage | None:
        return None

    def ack(self, job_id: str, to_iteration: int) -> None:
        if self._spool is not None:
            self._spool.committed(to_iteration)
        self._on_ack()

    def close(self) -> None:
        self._consumer = None


class StreamingRunner(AbstractRunner):
    """Runs any sync mode on the calling thread; the only runner for sync mode ``stream``."""

    def _work(self, context: RunContext, backend: AbstractBackend) -> dict[str, WorkerResult]:
        try:
            with at_work(backend, self._stop):
                result = self._move(context, backend)
        except BaseException as error:
            if was_stopped(error):
                return {"stream": WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)}
            if is_for_the_process(error):
                raise
            result = failure(context, error, status_of(error, PipelineReturnStatus.SOURCE_ERROR))
        return {"stream": track_end(build_monitor(context), result)}

    def _move(self, context: RunContext, backend: AbstractBackend) -> WorkerResult:
        monitor = build_monitor(context)
        stream = context.config.source.sync_mode is SourceSyncModes.STREAM
        source = build_source(context.config)
        try:
            check_source(source)
            with open_spool(context) as spool, source_callback(context, source) as callback:
                queue = InlineQueue(context.config.engine.queue.config, source.commit if stream else _nothing, spool)
                links = Links(queue, backend, self._stop, Event(), self._progress)
                destination = build_destination(context, backend, callback, monitor)
                dead_letters = build_dead_letters(context, destination, callback, monitor)
                try:
                    check_destination(destination, dead_letters)
                    loader = build_loader(context, links, destination, dead_letters, callback, monitor)
                    loader.prepare()
                    consumer = build_consumer(context, links, loader)
                    queue.feed(consumer)
                    fetcher = build_fetcher(context, source, monitor)
                    try:
                        if stream:
                            gauge = Gauge(source, backend, context.resume.job_id, self._progress)
                            first = dict(context.resume.pagination) if source.resumes_streams else {}
                            end = self._follow(context, fetcher, queue, consumer, gauge, first)
                        else:
                            announce_total(context, links, source)
                            end = build_producer(context, links, fetcher).run(context.resume.exhausted)
                    except (DestinationError, BackendError):
                        raise
                    except BaseException as error:
                        # in sync mode stream a commit would be for the page at fault too
                        if is_failure(error) and not stream:
                            with suppress(BizonError):  # the first fault is the one to tell
                                consumer.finish()  # the pages before it are good
                        raise
                finally:
                    close_destination(destination, dead_letters)
        finally:
            source.close()
        status = PipelineReturnStatus.KILLED_BY_RUNNER if end.stopped else PipelineReturnStatus.SUCCESS
        published = consumer.outcome is True
        return WorkerResult(
            status,
            published=published,
            capped=end.capped,
            where=destination.describe(),
            dead_letters=dead_letters.describe(),
        )

    def _follow(
        self,
        context: RunContext,
        fetcher: PageFetcher,
        queue: AbstractQueue,
        consumer: Consumer,
        gauge: Gauge,
        pagination: dict[str, Any],
    ) -> ProducerEnd:
        """Sync mode ``stream``: ask for pages until stopped, only for the first with a pagination, if at all; a page
        without records is a pause.

        What was fetched is written before the end. After an error it is not: the source gives the micro-batch again.
        """
        pause = context.config.engine.queue.config.consumer.poll_interval
        iteration, fetched = context.resume.next_iteration, 0
        while not self._stop.is_set():
            if fetched == context.config.source.max_iterations:
                consumer.finish()
                return ProducerEnd(capped=True)
            try:
                message = fetcher.fetch(iteration, pagination)
            except BizonError as error:
                if was_stopped(error):
                    break
                raise
            fetched, pagination = fetched + 1, {}
            gauge.look()
            if message.frame.is_empty():
                consumer.flush()
                self._stopping.wait(pause)
                continue
            self._progress.fetched(message.frame.height, message.size)
            queue.put(message, pause)
            iteration += 1
        consumer.finish()
        return ProducerEnd(stopped=True)


def _nothing() -> None:
    return None
