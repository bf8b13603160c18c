"""The connection between the main process and its children: pipes, shared memory, and the events on them."""

import signal
from collections.abc import Callable, MutableSequence, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bizon.engine.partitions import Partition
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
    """A message from a child to the main process: first that it is running, then log records, secrets it has learned
    and requests for a partition, at the end its result."""

    level: str = ""
    name: str = ""
    function: str = ""
    line: int = 0
    text: str = ""
    failure: bool = False
    result: "WorkerResult | None" = None
    learned: str = field(default="", repr=False)
    is_running: bool = False
    wants_partition: bool = False


class ChildWiring(NamedTuple):
    """The ends of the pipes and the shared memory that a child gets from the main process. ``data`` and ``gates``: a
    pipe each to every child of the other role. ``producer``: the ProducerState, in one byte. ``work``: the partitions
    that the main process gives to a producer, at most ``most_pages`` pages of them; None without partitions."""

    data: "Sequence[Connection[Any, Any]]"
    gates: "Sequence[Connection[Any, Any]]"
    events: "Connection[Any, Any]"
    stop: SharedFlag
    producer: Any
    counters: MutableSequence[int]
    work: "Connection[Any, Any] | None" = None
    most_pages: int | None = None


class PipeGate:
    """The gate over pipes: the consumer sends one byte to each producer, which waits for it.

    A producer that has ended already needs no byte: the consumer learns of its end from the queue.
    """

    def __init__(self, *connections: "Connection[Any, Any]") -> None:
        self._connections = connections

    def set(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.send_bytes(b"\0")

    def wait(self, timeout: float) -> bool:
        return self._connections[0].poll(timeout)


class RemoteTaker:
    """Asks the main process for the next partition: an event there, an answer back. The main process answers at once,
    and a child does not outlive it."""

    def __init__(self, wiring: ChildWiring, send: "Callable[[Event], None]") -> None:
        self._wiring = wiring
        self._send = send

    def take(self) -> "Partition | None":
        """None when none is left."""
        if self._wiring.work is None:
            return None
        self._send(Event(wants_partition=True))
        found: Partition | None = self._wiring.work.recv()
        return found
