"""Two spawned processes: the source's and the destination's CPU work do not share one interpreter."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_any
from typing import TYPE_CHECKING, Any

from bizon.engine.pipeline.models import Progress, WorkerResult
from bizon.engine.runner.adapters.child import child_main, pack
from bizon.engine.runner.adapters.children import Child
from bizon.engine.runner.adapters.spawning import CHILD_NAME, check_children, shared_memory
from bizon.engine.runner.adapters.wiring import STOP_SIGNALS, ChildWiring, SharedFlag
from bizon.engine.runner.producer_watch import state_of
from bizon.engine.runner.runner import PAGE_GRACE, AbstractRunner

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.runner.models import RunContext

_STOP_SEEN_WITHIN = 1.0  # seconds


class ProcessRunner(AbstractRunner):
    """The main process starts the two halves, forwards their events and waits. Each half builds its own parts.

    The stop flag and the counters are plain shared memory without locks, so that a half that is killed at any moment
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
        spawn = multiprocessing.get_context("spawn")
        data_out, data_in = spawn.Pipe(duplex=False)
        gate_out, gate_in = spawn.Pipe(duplex=False)
        payload = pack(context)
        children: dict[Role, Child] = {}
        ends = dict(zip(self.halves, ((data_in, gate_out), (data_out, gate_in)), strict=True))
        try:
            for half, (data, gate) in ends.items():
                events_out, events_in = spawn.Pipe(duplex=False)
                wiring = ChildWiring(data, gate, events_in, self._flag, self._producer, self._slots)
                process = spawn.Process(target=child_main, args=(half, payload, wiring), name=f"{CHILD_NAME}{half}")
                with _signals_held_back():
                    process.start()
                events_in.close()
                children[half] = Child(half, process, events_out)
        finally:
            # only the children may hold these ends: then one notices when the other dies
            for end in (data_in, data_out, gate_in, gate_out):
                end.close()
        with _reaped(children):
            try:
                self._wait(children)
            except BaseException:
                self._cut_short(children)
                raise
        return {half.value: child.result for half, child in children.items() if child.result is not None}

    def _wait(self, children: "dict[Role, Child]") -> None:
        interval = min(self.bizon_config.engine.runner.config.is_alive_check_interval, _STOP_SEEN_WITHIN)
        while running := [child for child in children.values() if child.result is None]:
            ready = wait_for_any([end for child in running for end in (child.events, child.process.sentinel)], interval)
            for child in running:
                if child.events in ready or child.process.sentinel in ready:
                    child.listen()
                if self._stop_requested and not child.is_running:
                    child.stop_starting()
                if child.result is not None:
                    self._note_end(child.half, child.result)

    def _cut_short(self, children: "dict[Role, Child]") -> None:
        """End both halves: abandon the page in flight, and wait for a write in flight, since only it knows its
        result."""
        self._flag.set()
        producer = next(child for half, child in children.items() if half.fetches)
        if producer.result is None:
            producer.process.join(PAGE_GRACE)
            if producer.process.is_alive():
                producer.process.kill()
        self._wait(children)
        self._ended = {half.value: child.result for half, child in children.items() if child.result is not None}

    def _note_end(self, half: "Role", result: WorkerResult) -> None:
        if half.fetches:
            self._producer[0] = state_of(result)
        if not result.is_success:
            self._flag.set()


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
def _reaped(children: dict["Role", Child]) -> Iterator[None]:
    """Within: no child outlives the runner, even when the runner is interrupted."""
    try:
        yield
    finally:
        for child in children.values():
            if child.result is None:
                child.process.kill()
            child.process.join()
            child.events.close()
