"""A child process as the main process sees it."""

import signal
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import ConfigError
from bizon.common.safe_log import FAILURE, logger
from bizon.common.secret import learn
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.adapters.spawning import NO_GUARD, NO_GUARD_REASON
from bizon.engine.runner.workers import status_of_half

if TYPE_CHECKING:
    from bizon.engine.backend.models import Role
    from bizon.engine.runner.adapters.wiring import Event


class Child:
    """One child: its process, its events, and its result once it has ended."""

    def __init__(self, half: "Role", process: SpawnProcess, events: "Connection[Any, Any]") -> None:
        self.half = half
        self.process = process
        self.events = events
        self.result: WorkerResult | None = None
        self.is_running = False

    def stop_starting(self) -> None:
        """End a child that is still importing what it needs, which may take longer than a stop should."""
        if self.result is None:
            self.process.kill()
            self.result = WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)

    def listen(self) -> None:
        """Handle every event that the child has sent so far."""
        try:
            while self.result is None and self.events.poll():
                self._take(self.events.recv())
        except (EOFError, OSError):
            self._note_death()
        else:
            if self.result is None and not self.process.is_alive() and not self.events.poll():
                self._note_death()

    def _take(self, event: "Event") -> None:
        if event.is_running:
            self.is_running = True
        elif event.result is not None:
            self.result = event.result
        elif event.learned:
            learn(event.learned)
        else:
            place = {"name": event.name, "function": event.function, "line": event.line}
            bound = logger.bind(**{FAILURE: event.failure})
            bound.patch(lambda record: record.update(**place)).log(event.level, event.text)  # type: ignore[call-arg]  # a TypedDict takes them

    def _note_death(self) -> None:
        self.process.join()
        code = self.process.exitcode
        if code == NO_GUARD:
            raise ConfigError(NO_GUARD_REASON)
        how = f"was killed by signal {signal.Signals(-code).name}" if code and code < 0 else f"ended with code {code}"
        error = f"the {self.half} process {how}; committed pages are safe, run again to resume"
        logger.bind(**{FAILURE: True}).error(error)
        self.result = WorkerResult(status_of_half(self.half), error=error)
