"""A command that works on a joined job in processes, one for each part at a time: true cores."""

from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from bizon.engine.runner.adapters.child import serve
from bizon.engine.runner.adapters.process import ProcessRunner
from bizon.engine.runner.joining.runner import JoinedRunner
from bizon.engine.runner.joining.slots import take_parts

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Role
    from bizon.engine.pipeline.models import WorkerResult
    from bizon.engine.runner.adapters.pipes import Pipes, Plug
    from bizon.engine.runner.adapters.unpacking import Payload
    from bizon.engine.runner.adapters.wiring import ChildWiring
    from bizon.engine.runner.models import RunContext


class JoinedProcessRunner(JoinedRunner, ProcessRunner):
    """The main process joins the job, waits, and may publish; its children take parts."""

    def _worked(
        self, context: "RunContext", caps: list[int | None], backend: "AbstractBackend"
    ) -> "list[WorkerResult]":
        children = self._served(part_main, context, partial(self._lone_plugs, caps))
        return [child.result for child in children if child.result is not None]

    def _lone_plugs(self, caps: list[int | None], pipes: "Pipes") -> "list[tuple[Plug, ChildWiring]]":
        _fetching, writing = self.roles
        return [self._lone(pipes, writing, cap) for cap in caps]


def part_main(role: "Role", payload: "Payload", wiring: "ChildWiring") -> None:
    """Entry point of a child that takes parts."""
    serve(role, payload, wiring, _take_parts)


def _take_parts(
    _role: "Role", context: "RunContext", wiring: "ChildWiring", _reporter: object, backend: "AbstractBackend"
) -> "WorkerResult":
    return take_parts(context, backend, wiring.stop, wiring.counters, wiring.most_pages, Event())
