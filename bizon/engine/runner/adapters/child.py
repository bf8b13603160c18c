"""A child of the process runner: unpack the context, connect its half, run it, report."""

import gc
import os
import pickle
import signal
import sys
from collections.abc import MutableSequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from loguru import logger

from bizon.common.errors.errors import BizonError
from bizon.common.interpreter import tuned_for_pages
from bizon.common.interrupts import in_words
from bizon.common.log_bridge import FAILURE, standard_logging_bridged
from bizon.common.role import Role
from bizon.common.secret import registry
from bizon.destination.discover import load_custom_destination
from bizon.engine.pipeline.models import Progress, WorkerResult
from bizon.engine.queue.adapters.python_queue.pipe import PipeReceiver, PipeSender
from bizon.engine.queue.queue import AbstractQueue
from bizon.engine.queue.spool import Spool
from bizon.engine.runner.assembly import build_backend, build_queue, memory_budget, open_spool
from bizon.engine.runner.faults import STATUS_OF_HALF, status_of
from bizon.engine.runner.models import Links, RunContext
from bizon.engine.runner.producer_watch import ProducerState, ProducerWatch
from bizon.engine.runner.workers import run_consumer, run_producer
from bizon.source.discover import load_custom_source

if TYPE_CHECKING:
    from loguru import Message

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals that the main process handles for its children."""

_ORPHANED = 1


class SharedFlag(NamedTuple):
    """A stop flag in shared memory; one byte, no lock that a killed process could leave taken."""

    memory: Any

    def is_set(self) -> bool:
        return bool(self.memory[0])

    def set(self) -> None:
        self.memory[0] = 1

    def clear(self) -> None:
        self.memory[0] = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A message from a child to the main process: first that it is running, then log records and secrets it has
    learned, at the end its result."""

    level: str = ""
    name: str = ""
    function: str = ""
    line: int = 0
    text: str = ""
    failure: bool = False
    result: WorkerResult | None = None
    learned: str = field(default="", repr=False)
    is_running: bool = False


class ChildWiring(NamedTuple):
    """The ends of the pipes and the shared memory that a child gets from the main process. ``producer``: the
    ProducerState, in one byte."""

    data: "Connection[Any, Any]"
    gate: "Connection[Any, Any]"
    events: "Connection[Any, Any]"
    stop: SharedFlag
    producer: Any
    counters: MutableSequence[int]


class PipeGate:
    """The gate over a pipe: the consumer sends one byte, the producer waits for it."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def set(self) -> None:
        self._connection.send_bytes(b"\0")

    def wait(self, timeout: float) -> bool:
        return self._connection.poll(timeout)


class Payload(NamedTuple):
    """The context for a child. The files of a custom source and a custom destination are loaded before its classes are
    unpickled."""

    context: bytes
    source_file: str | None
    destination_file: str | None


def pack(context: RunContext) -> Payload:
    """The context for a child."""
    source, destination = context.config.source, context.config.destination
    return Payload(pickle.dumps(context), source.source_file_path, destination.config.destination_file_path)


def child_main(half: Role, payload: Payload, wiring: ChildWiring) -> None:
    """Entry point of a child process. The main process handles signals and stops its children by the flag."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()
    reporter = _Reporter(wiring.events)
    reporter.take_over_logging()
    reporter.send(Event(is_running=True))
    try:
        result = _work(half, payload, wiring, reporter)
    except BaseException as error:  # noqa: BLE001 - the main process shows it, masked
        result = WorkerResult(status_of(error, STATUS_OF_HALF[half]), error=in_words(error))
        logger.bind(**{FAILURE: True}).opt(exception=None if isinstance(error, BizonError) else error).error(
            result.error
        )
    reporter.send(Event(result=result))
    wiring.events.close()
    gc.freeze()  # collecting the garbage of all imports at exit would take longer than a short run


def _work(half: Role, payload: Payload, wiring: ChildWiring, reporter: "_Reporter") -> WorkerResult:
    if payload.source_file is not None:
        load_custom_source(payload.source_file)
    if payload.destination_file is not None:
        load_custom_destination(payload.destination_file)
    context: RunContext = pickle.loads(payload.context)
    with (
        registry.known_while(context.secrets),
        registry.announced_to(reporter.pass_on),
        tuned_for_pages(),
        standard_logging_bridged(),
        build_backend(context.config) as backend,
        ExitStack() as until_the_end,
    ):
        spool = until_the_end.enter_context(open_spool(context)) if half is Role.CONSUMER else None
        queue = _queue(half, context, wiring, spool)
        watch = ProducerWatch(lambda: ProducerState(wiring.producer[0]), is_drained=queue.is_drained)
        links = Links(queue, backend, wiring.stop, PipeGate(wiring.gate), Progress(wiring.counters), watch)
        run = run_producer if half is Role.PRODUCER else run_consumer
        return run(context, links)


def _queue(half: Role, context: RunContext, wiring: ChildWiring, spool: Spool | None) -> AbstractQueue:
    config = context.config
    if config.engine.queue.is_broker:
        return build_queue(config, context.run.key, half)
    if half is Role.PRODUCER:
        return PipeSender(config.engine.queue.config, wiring.data)
    return PipeReceiver(config.engine.queue.config, wiring.data, memory_budget(config), spool)


def _die_with_parent() -> None:
    """End this process with its parent: an orphan must not commit, since the next run may have started."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(_ORPHANED)


class _Reporter:
    """Sends events to the main process, log records included, so that only the main process has sinks."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._lock = Lock()

    def take_over_logging(self) -> None:
        logger.remove()
        logger.add(self._forward, format="{message}\n{exception}", level=0, diagnose=False, backtrace=False)

    def send(self, event: Event) -> None:
        with self._lock:
            self._connection.send(event)

    def pass_on(self, secret: str) -> None:
        """Send a secret that was learned here to the main process, which prints and stores."""
        with suppress(OSError):  # the main process is gone; the parent watch ends this one
            self.send(Event(learned=secret))

    def _forward(self, message: "Message") -> None:
        record = message.record
        try:
            self.send(
                Event(
                    level=record["level"].name,
                    name=record["name"] or "",
                    function=record["function"],
                    line=record["line"],
                    text=str(message).rstrip("\n"),
                    failure=record["extra"].get(FAILURE, False),
                )
            )
        except OSError:
            sys.stderr.write(str(message))  # the main process is gone; the parent watch ends this one
