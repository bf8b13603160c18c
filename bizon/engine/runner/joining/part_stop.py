"""The stop flag of a piece of work within a command."""

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.engine.pipeline.producer import StopFlag


@dataclass(frozen=True, slots=True)
class PartStop:
    """Set when the command must end, ``outer``, or when a role of this work has failed, which ends nothing else."""

    outer: "StopFlag"
    own: Event = field(default_factory=Event)

    def is_set(self) -> bool:
        return self.own.is_set() or self.outer.is_set()

    def set(self) -> None:
        self.own.set()

    def clear(self) -> None:
        self.own.clear()
