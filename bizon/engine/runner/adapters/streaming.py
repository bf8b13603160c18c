"""One thread, no queue: each page goes straight from the source to the loader."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BackendError, BizonError, DestinationError
from bizon.common.interrupts import is_failure
from bizon.common.waiting import was_stopped
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.pipeline.producer import ProducerEnd
from bizon.engine.runner.adapters.inline import InlineQueue
from bizon.engine.runner.fetching import announce_total, build_fetcher, build_producer
from bizon.engine.runner.members.gathering import Gathering
from bizon.engine.runner.runner import AbstractRunner
from bizon.engine.runner.sources import opened_source, source_callback
from bizon.engine.runner.throughput import Throughput
from bizon.engine.runner.workers import failure, guarded, status_of
from bizon.engine.runner.writing import opened_consumer

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.consumer import Consumer
    from bizon.engine.pipeline.fetcher import PageFetcher
    from bizon.engine.runner.members.membership import Membership
    from bizon.engine.runner.models import Links, RunContext, RunnerStatus
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.source import AbstractSource


class StreamingRunner(AbstractRunner):
    """Runs any sync mode on the calling thread; the only runner for sync mode ``stream``."""

    _membership: "Membership | None" = None
    """Set in a run that is one of several members of its stream."""

    def _run_jobs(self, backend: "AbstractBackend") -> "RunnerStatus":
        self._gathering(backend).end()
        return super()._run_jobs(backend)

    def _gathering(self, backend: "AbstractBackend") -> Gathering:
        return Gathering(backend, self.bizon_config, self.scope, self._stopping, self._context_of)

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> dict[str, WorkerResult]:
        def failed(error: BaseException) -> WorkerResult:
            return failure(context, error, status_of(error, PipelineReturnStatus.SOURCE_ERROR)).tracked_by(monitor)

        monitor = context.new_monitor()
        return {"stream": guarded(backend, self._stop, lambda: self._move(context, backend, monitor), failed)}

    def _move(self, context: "RunContext", backend: "AbstractBackend", monitor: "AbstractMonitor") -> WorkerResult:
        is_endless, member = context.config.source.is_endless, self._membership
        with (
            opened_source(context.config, member=member) as source,
            self._open_spool(context) as spool,
            source_callback(context.config, source) as callback,
        ):
            on_ack = source.commit if is_endless else _nothing
            queue = InlineQueue(context.config.engine.queue.config, on_ack, spool)
            links = self._links(queue, backend)
            with opened_consumer(context, links, callback, monitor) as opened:
                queue.feed(opened.consumer)
                fetcher = build_fetcher(context, source, monitor)
                if is_endless:
                    with nullcontext() if member is None else member.attached(opened.consumer.finish):
                        end = self._follow(context, links, source, fetcher, opened.consumer)
                else:
                    with _good_pages_committed(opened.consumer):
                        announce_total(context, links.progress, backend, source)
                        end = build_producer(context, links, fetcher).run(context.run.resume.exhausted)
        return opened.result(end.status, capped=end is ProducerEnd.CAPPED).tracked_by(monitor)

    def _follow(
        self,
        context: "RunContext",
        links: "Links",
        source: "AbstractSource",
        fetcher: "PageFetcher",
        consumer: "Consumer",
    ) -> ProducerEnd:
        """Sync mode ``stream``: fetch pages until stopped; a page without records is a pause. Only the first page is
        asked for with a pagination, and only when the source resumes by one; the places of a member bring theirs.

        Pages that were fetched are written before the end. After an error they are not, since a commit would cover the
        page at fault too: the source delivers the micro-batch again.
        """
        throughput = Throughput(source, links.backend, context.run, self._progress)
        pagination: dict[str, Any] = dict(context.run.resume.pagination) if source.resumes_streams else {}
        pause = context.config.engine.queue.config.consumer.poll_interval
        iteration, fetched = context.run.resume.next_iteration, 0
        while not self._stop.is_set():
            if fetched == context.config.source.max_iterations:
                consumer.finish()
                return ProducerEnd.CAPPED
            try:
                message = fetcher.fetch(iteration, pagination)
            except BizonError as error:
                if was_stopped(error):
                    break
                raise
            fetched, pagination = fetched + 1, {}
            throughput.note_if_due()
            if self._membership is not None:
                self._membership.tend()
            if message.frame.is_empty():
                consumer.flush()
                self._stopping.wait(pause)
                continue
            self._progress.fetched(message.frame.height, message.size)
            links.queue.put(message, pause)
            iteration += 1
        consumer.finish()
        return ProducerEnd.STOPPED


@contextmanager
def _good_pages_committed(consumer: "Consumer") -> Iterator[None]:
    """Within: a fault that is not the destination's or the state's leaves the pages before it committed."""
    try:
        yield
    except (DestinationError, BackendError):
        raise
    except BaseException as error:
        if is_failure(error):
            with suppress(BizonError):  # the first fault is the one to report
                consumer.finish()
        raise


def _nothing() -> None:
    return None
