"""The connection between the main process and its children: pipes, shared memory, and the events on them."""

import signal
from collections.abc import MutableSequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bizon.engine.pipeline.models import WorkerResult

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals that the main process handles for its children."""


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
    result: "WorkerResult | None" = None
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
    """The gate over a pipe: the consumer sends one byte, the producer waits for it.

    A producer that has ended already needs no byte: the consumer learns of its end from the queue.
    """

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def set(self) -> None:
        with suppress(OSError):
            self._connection.send_bytes(b"\0")

    def wait(self, timeout: float) -> bool:
        return self._connection.poll(timeout)
