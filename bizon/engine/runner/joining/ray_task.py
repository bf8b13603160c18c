"""A worker that takes parts on a node of a Ray cluster."""

import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from threading import Event
from typing import NamedTuple

from bizon.common.errors.errors import ConfigError
from bizon.common.ticking import Ticker
from bizon.engine.backend.models import Role
from bizon.engine.pipeline.models import Progress, WorkerResult
from bizon.engine.runner.adapters.unpacking import Payload, unpacked
from bizon.engine.runner.joining.slots import take_parts
from bizon.engine.runner.workers import unhandled

_BEAT = 0.5  # seconds

Beat = Callable[[int, list[int]], bool]


class Task(NamedTuple):
    """The order for a worker, with the secrets of the pipeline: Ray never prints the arguments of a task. ``folder``:
    the one that the paths of the pipeline are relative to."""

    number: int
    version: str
    folder: str
    payload: Payload
    most_pages: int | None


def worked(task: Task, beat: Beat) -> WorkerResult:
    """Take parts until none is left. ``beat``: of the board; when it raises, the driver is gone, and the worker ends as
    after a stop."""
    try:
        _check_node(task)
        return _worked(task, beat)
    except BaseException as error:  # noqa: BLE001 - the driver shows it, masked
        return unhandled(Role.CONSUMER, error)


def _worked(task: Task, beat: Beat) -> WorkerResult:
    stop, counters = Event(), [0] * Progress.SLOTS

    def tell() -> None:
        try:
            if beat(task.number, list(counters)):
                stop.set()
        except Exception:  # noqa: BLE001 - whatever Ray raises: nobody waits for this worker any more
            stop.set()

    tell()
    with unpacked(task.payload, lambda _secret: None, is_same_host=False) as (context, backend):
        with Ticker(tell, _BEAT, name="bizon-beat"):
            result = take_parts(context, backend, stop, counters, task.most_pages, Event())
        tell()
        return result


def _check_node(task: Task) -> None:
    """Raise ConfigError when this node does not have what the pipeline needs."""
    if (here := version("bizon")) != task.version:
        raise ConfigError(
            f"node {os.uname().nodename} has bizon {here}, and the driver {task.version}: install the same on all nodes"
        )
    for file in (task.payload.source_file, task.payload.destination_file):
        if file is not None and not os.path.isfile(file):
            raise ConfigError(
                f"{file}: not there on node {os.uname().nodename}; put it at the same path on all nodes, or into a "
                "plug-in package that they have"
            )
    with suppress(OSError):  # a node that has not the folder needs none, unless a path is relative
        os.chdir(task.folder)
