"""The pipes between the main process and its children, and between the children."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext

    from bizon.engine.backend.models import Role
    from bizon.engine.partitions import Partition

    End = Connection[Any, Any]


class Plug(NamedTuple):
    """The ends of a child's pipes that the main process keeps: ``events`` comes from the child, and each of its
    requests for a partition is answered on ``work`` by what ``take`` returns."""

    role: "Role"
    events: "End"
    work: "End | None" = None
    take: "Callable[[], Partition | None] | None" = None


class Pipes:
    """Makes the pipes of a run. Each end belongs to one process: then a process notices when another one dies."""

    def __init__(self, spawn: "SpawnContext") -> None:
        self._spawn = spawn
        self._ends_of_children: list[End] = []

    def between_children(self) -> "tuple[End, End]":
        """The end to read from, and the end to write to."""
        ends = self._spawn.Pipe(duplex=False)
        self._ends_of_children += ends
        return ends

    def to_main(self) -> "tuple[End, End]":
        """The end to read from stays in the main process."""
        reading, writing = self._spawn.Pipe(duplex=False)
        self._ends_of_children.append(writing)
        return reading, writing

    def from_main(self) -> "tuple[End, End]":
        """The end to write to stays in the main process."""
        reading, writing = self._spawn.Pipe(duplex=False)
        self._ends_of_children.append(reading)
        return reading, writing

    def close_ends_of_children(self) -> None:
        """Called once all children have started."""
        for end in self._ends_of_children:
            end.close()
