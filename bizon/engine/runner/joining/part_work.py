"""One part of a joined job, from its last checkpoint to its end: a small pipeline of its own, on two threads."""

from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.assembly import build_shared_queue
from bizon.engine.runner.joining.part_stop import PartStop
from bizon.engine.runner.joining.points import run_of_part
from bizon.engine.runner.models import Links
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch, state_of
from bizon.engine.runner.started import started
from bizon.engine.runner.workers import run_consumer, run_producer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import TakenPart
    from bizon.engine.pipeline.models import Progress
    from bizon.engine.pipeline.producer import StopFlag
    from bizon.engine.runner.models import RunContext


@dataclass(frozen=True, slots=True)
class PartWork:
    """Works on parts, one after the other. ``context``: of the job; ``cut_short``: set when an exception in the main
    thread ends the command, and a page in flight is not waited for."""

    context: "RunContext"
    backend: "AbstractBackend"
    stop: "StopFlag"
    progress: "Progress"
    cut_short: Event

    def run(self, part: "TakenPart", most_pages: int | None) -> WorkerResult:
        """Fetch and write the rest of a part, at most ``most_pages`` pages. The role that failed tells how it ended."""
        context = self._context_of(part, most_pages)
        links = own_links(context, self.backend, self.stop, self.progress)
        producing = started(partial(run_producer, context, links), "bizon-run_producer")
        watch = ProducerWatch(lambda: _state(producing), is_drained=links.queue.is_drained, cut_short=self.cut_short)
        consumed = run_consumer(context, links._replace(watch=watch))
        if not self.cut_short.is_set():
            wait([producing])
        return _of_both(producing.result() if producing.done() else _KILLED, consumed)

    def _context_of(self, part: "TakenPart", most_pages: int | None) -> "RunContext":
        context, run = self.context, self.context.run
        source = context.config.source.model_copy(update={"max_iterations": most_pages})
        is_whole = len(run.partitions) == 1 and not part.plan  # its source has planned nothing
        return replace(
            context,
            config=context.config.model_copy(update={"source": source}),
            run=run_of_part(run, part, self.backend.committed(run.job_id, part.number)),
            plan=None if is_whole else part.plan,
        )


_KILLED = WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)


def own_links(context: "RunContext", backend: "AbstractBackend", stop: "StopFlag", progress: "Progress") -> Links:
    """The links of a piece of work that has a queue of its own, and ends nothing else when it fails."""
    queue = build_shared_queue(context.config, None, context.run.resume.next_iteration)
    return Links(queue, backend, PartStop(stop), Event(), progress)


def _state(producing: "Future[WorkerResult]") -> ProducerState:
    return state_of(producing.result()) if producing.done() else ProducerState.RUNNING


def _of_both(producer: WorkerResult, consumer: WorkerResult) -> WorkerResult:
    """How a part ended: the role that failed first; the other only follows it."""
    failed = [each for each in (producer, consumer) if each.error is not None]
    result = failed[0] if failed else producer if not producer.is_success else consumer
    return result._replace(
        capped=producer.capped,
        where=consumer.where,
        dead_letters=consumer.dead_letters,
        overtaken=producer.overtaken or consumer.overtaken,
    )
