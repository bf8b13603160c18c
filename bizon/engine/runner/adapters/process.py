"""Spawned processes: the source's and the destination's CPU work do not share one interpreter, and neither do producers
of several partitions."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait as wait_for_any
from time import monotonic
from typing import TYPE_CHECKING, Any

from bizon.engine.pipeline.models import Progress, WorkerResult
from bizon.engine.runner.adapters.child import child_main
from bizon.engine.runner.adapters.children import Child
from bizon.engine.runner.adapters.pipes import Pipes, Plug
from bizon.engine.runner.adapters.spawning import CHILD_NAME, check_children, shared_memory
from bizon.engine.runner.adapters.unpacking import pack
from bizon.engine.runner.adapters.wiring import STOP_SIGNALS, ChildWiring, SharedFlag
from bizon.engine.runner.planning import parts_of_the_cap, taker
from bizon.engine.runner.producer_watch import state_of
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner
from bizon.engine.runner.worker_results import merged, merged_by_role

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.runner.adapters.unpacking import Payload
    from bizon.engine.runner.models import RunContext

    Main = Callable[[Role, Payload, ChildWiring], None]
    Plugs = Callable[[Pipes], list[tuple[Plug, ChildWiring]]]

_STOP_SEEN_WITHIN = 1.0  # seconds


class ProcessRunner(AbstractRunner):
    """The main process starts the two roles, forwards their events and waits. Each process builds its own parts. A
    producer of partitions asks the main process for the next one.

    The stop flag and the counters are plain shared memory without locks, so that a role that is killed at any moment
    leaves nothing locked.
    """

    def __init__(self, config: "BizonConfig", secrets: frozenset[str] = frozenset()) -> None:
        self._flag = SharedFlag(shared_memory("b", 1))
        self._producer: Any = shared_memory("b", 1)
        self._slots: Any = shared_memory("q", Progress.SLOTS)
        super().__init__(config, secrets, stop=self._flag, progress=Progress(self._slots))

    def _check_host(self) -> None:
        check_children()

    def _work(self, context: "RunContext", backend: "AbstractBackend") -> dict[str, WorkerResult]:
        return _results(self._served(child_main, context, partial(self._plugs, context)))

    def _served(self, main: "Main", context: "RunContext", plugs: "Plugs") -> list[Child]:
        """Start a child for each plug, and wait until all have ended."""
        payload = pack(context)
        spawn = multiprocessing.get_context("spawn")
        pipes, children = Pipes(spawn), list[Child]()
        try:
            for plug, wiring in plugs(pipes):
                args = (plug.role, payload, wiring)
                process = spawn.Process(target=main, args=args, name=f"{CHILD_NAME}{plug.role}")
                with _signals_held_back():
                    process.start()
                children.append(Child(plug, process))
        finally:
            pipes.close_ends_of_children()
        with _reaped(children):
            try:
                self._wait(children)
            except BaseException:
                self._cut_short(children)
                raise
        return children

    def _lone(self, pipes: Pipes, role: "Role", most_pages: int | None) -> tuple[Plug, ChildWiring]:
        """Both ends of the connection to a child that exchanges nothing with others."""
        events_out, events_in = pipes.to_main()
        slots = shared_memory("q", Progress.SLOTS)
        self._progress.lane(slots)
        wiring = ChildWiring((), (), events_in, self._flag, self._producer, slots, most_pages=most_pages)
        return Plug(role, events_out), wiring

    def _plugs(self, context: "RunContext", pipes: Pipes) -> list[tuple[Plug, ChildWiring]]:
        """Both ends of the connection to each child: a producer, or several that take partitions, and the consumer."""
        producing, consuming = self.roles
        take = taker(context) if context.run.partitions else None
        plugs, data, gates = list[tuple[Plug, ChildWiring]](), [], []
        for most_pages in parts_of_the_cap(context):
            (data_out, data_in), (gate_out, gate_in) = pipes.between_children(), pipes.between_children()
            data.append(data_out)
            gates.append(gate_in)
            events_out, events_in = pipes.to_main()
            wiring = ChildWiring([data_in], [gate_out], events_in, self._flag, self._producer, self._slots)
            if take is None:
                plugs.append((Plug(producing, events_out), wiring))
                continue
            work_out, work_in = pipes.from_main()
            slots = shared_memory("q", Progress.SLOTS)
            self._progress.lane(slots)
            wiring = wiring._replace(counters=slots, work=work_out, most_pages=most_pages)
            plugs.append((Plug(producing, events_out, work_in, take), wiring))
        events_out, events_in = pipes.to_main()
        wiring = ChildWiring(data, gates, events_in, self._flag, self._producer, self._slots)
        return [*plugs, (Plug(consuming, events_out), wiring)]

    def _wait(self, children: list[Child]) -> None:
        interval = min(self.bizon_config.engine.runner.config.is_alive_check_interval, _STOP_SEEN_WITHIN)
        while running := [child for child in children if child.result is None]:
            ready = wait_for_any([end for child in running for end in (child.events, child.process.sentinel)], interval)
            for child in running:
                if child.events in ready or child.process.sentinel in ready:
                    child.listen()
                if self._stop_requested and not child.is_running:
                    child.stop_starting()
                if child.result is not None:
                    self._note_end(child, children)

    def _cut_short(self, children: list[Child]) -> None:
        """End both roles: abandon the page in flight, and wait for a write in flight, since only it knows its
        result."""
        self._flag.set()
        deadline = monotonic() + PAGE_GRACE
        for producer in (child for child in children if child.role.fetches and child.result is None):
            producer.process.join(max(deadline - monotonic(), 0))
            if producer.process.is_alive():
                producer.process.kill()
        self._wait(children)
        self._ended = _results(children)

    def _note_end(self, child: Child, children: list[Child]) -> None:
        producers = [each.result for each in children if each.role.fetches]
        if child.role.fetches and None not in producers:
            self._producer[0] = state_of(merged([result for result in producers if result is not None]))
        if child.result is not None and not child.result.is_success:
            self._flag.set()


def _results(children: list[Child]) -> dict[str, WorkerResult]:
    return merged_by_role((child.role, child.result) for child in children if child.result is not None)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Within: a child that is started receives SIGINT and SIGTERM only once it ignores them. A service manager signals
    all processes of a service, also one that has just started."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _reaped(children: list[Child]) -> Iterator[None]:
    """Within: no child outlives the runner, even when the runner is interrupted."""
    try:
        yield
    finally:
        for child in children:
            if child.result is None:
                child.process.kill()
            child.process.join()
            child.close()
