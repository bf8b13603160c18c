"""A child of the process runner: unpack the context, connect its role, run it, report."""

import gc
import os
import signal
from contextlib import ExitStack
from multiprocessing import parent_process
from threading import Thread
from typing import TYPE_CHECKING

from bizon.destination.buffer import memory_budget
from bizon.engine.pipeline.models import Progress, WorkerResult
from bizon.engine.queue.adapters.python_queue.pipe import PipeReceiver, PipeSender
from bizon.engine.runner.adapters.reporter import Reporter
from bizon.engine.runner.adapters.unpacking import unpacked
from bizon.engine.runner.adapters.wiring import STOP_SIGNALS, ChildWiring, Event, PipeGate, RemoteTaker
from bizon.engine.runner.assembly import build_queue, open_spool
from bizon.engine.runner.models import Links, Share
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch
from bizon.engine.runner.workers import run_consumer, run_producer, unhandled

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.queue.queue import AbstractQueue
    from bizon.engine.queue.spool import Spool
    from bizon.engine.runner.adapters.unpacking import Payload
    from bizon.engine.runner.models import RunContext

    Work = Callable[[Role, RunContext, ChildWiring, Reporter, AbstractBackend], WorkerResult]

_ORPHANED = 1


def child_main(role: "Role", payload: "Payload", wiring: ChildWiring) -> None:
    """Entry point of a child that is one role of a run."""
    serve(role, payload, wiring, _run_role)


def serve(role: "Role", payload: "Payload", wiring: ChildWiring, work: "Work") -> None:
    """Work in a child process, and report the result. The main process handles signals and stops its children by the
    flag."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()
    reporter = Reporter(wiring.events)
    reporter.take_over_logging()
    reporter.send(Event(is_running=True))
    try:
        result = _work(role, payload, wiring, reporter, work)
    except BaseException as error:  # noqa: BLE001 - the main process shows it, masked
        result = unhandled(role, error)
        reporter.log_failure(error, result)
    reporter.send(Event(result=result))
    wiring.events.close()
    gc.freeze()  # collecting the garbage of all imports at exit would take longer than a short run


def _work(role: "Role", payload: "Payload", wiring: ChildWiring, reporter: "Reporter", work: "Work") -> WorkerResult:
    with unpacked(payload, reporter.pass_on, is_same_host=True) as (context, backend):
        return work(role, context, wiring, reporter, backend)


def _run_role(
    role: "Role", context: "RunContext", wiring: ChildWiring, reporter: "Reporter", backend: "AbstractBackend"
) -> WorkerResult:
    with ExitStack() as until_the_end:
        spool = until_the_end.enter_context(open_spool(context)) if not role.fetches else None
        queue = _queue(role, context, wiring, spool)
        watch = ProducerWatch(lambda: ProducerState(wiring.producer[0]), is_drained=queue.is_drained)
        share = None if wiring.work is None else Share(RemoteTaker(wiring, reporter.send).take, wiring.most_pages)
        progress = Progress(wiring.counters)
        links = Links(queue, backend, wiring.stop, PipeGate(*wiring.gates), progress, watch, share)
        run = run_producer if role.fetches else run_consumer
        return run(context, links)


def _queue(role: "Role", context: "RunContext", wiring: ChildWiring, spool: "Spool | None") -> "AbstractQueue":
    config = context.config
    if config.engine.queue.is_broker:
        return build_queue(config, role)
    if role.fetches:
        return PipeSender(config.engine.queue.config, wiring.data[0])
    first_page = context.run.resume.next_iteration
    return PipeReceiver(config.engine.queue.config, wiring.data, memory_budget(config), spool, first_page)


def _die_with_parent() -> None:
    """End this process with its parent: an orphan must not commit, since the next run may have started."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(_ORPHANED)
