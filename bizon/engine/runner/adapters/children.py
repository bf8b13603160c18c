"""A child process as the main process sees it."""

import signal
from contextlib import suppress
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from bizon.common.errors.errors import ConfigError
from bizon.common.safe_log import FAILURE, logger
from bizon.common.secret import learn
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.adapters.spawning import NO_GUARD, NO_GUARD_REASON
from bizon.engine.runner.workers import status_of_role

if TYPE_CHECKING:
    from bizon.engine.runner.adapters.pipes import Plug
    from bizon.engine.runner.adapters.wiring import Event


class Child:
    """One child: its process, its events, and its result once it has ended."""

    def __init__(self, plug: "Plug", process: SpawnProcess) -> None:
        self.role = plug.role
        self.process = process
        self.events = plug.events
        self._plug = plug
        self.result: WorkerResult | None = None
        self.is_running = False

    def stop_starting(self) -> None:
        """End a child that is still importing what it needs, which may take longer than a stop should."""
        if self.result is None:
            self.process.kill()
            self.result = WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)

    def close(self) -> None:
        """Close the ends of its pipes that the main process holds."""
        self.events.close()
        if self._plug.work is not None:
            self._plug.work.close()

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
        elif event.wants_partition:
            self._give()
        elif event.result is not None:
            self.result = event.result
        elif event.learned:
            learn(event.learned)
        else:
            place = {"name": event.name, "function": event.function, "line": event.line}
            bound = logger.bind(**{FAILURE: event.failure})
            bound.patch(lambda record: record.update(**place)).log(event.level, event.text)  # type: ignore[call-arg]  # a TypedDict takes them

    def _give(self) -> None:
        if self._plug.take is not None and self._plug.work is not None:
            with suppress(OSError):  # the child has died; listen notices it
                self._plug.work.send(self._plug.take())

    def _note_death(self) -> None:
        self.process.join()
        code = self.process.exitcode
        if code == NO_GUARD:
            raise ConfigError(NO_GUARD_REASON)
        how = f"was killed by signal {signal.Signals(-code).name}" if code and code < 0 else f"ended with code {code}"
        error = f"the {self.role} process {how}; committed pages are safe, run again to resume"
        logger.bind(**{FAILURE: True}).error(error)
        self.result = WorkerResult(status_of_role(self.role), error=error)
