"""The offsets of a group member. Pure bookkeeping: nothing here talks to a broker.

An offset passes through three states. It is *in flight* from the moment its message is returned until the engine
acknowledges it, then *safe*, and *committed* once the group has accepted it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Message

from bizon.connectors.sources.kafka.src.client import Partition

Offsets = dict[Partition, int]


class Start(NamedTuple):
    """The offset that the group has committed for a partition, and the offset from which to read it."""

    committed: int
    position: int


class MemberOffsets:
    """The offsets of this member, by partition."""

    def __init__(self) -> None:
        self.positions: Offsets = {}  # the next offset to return; the keys are exactly the assigned partitions
        self.committed: Offsets = {}
        self.safe: Offsets = {}  # not committed yet
        self._in_flight: Offsets = {}

    @property
    def has_in_flight(self) -> bool:
        """Whether messages wait for their acknowledgement."""
        return bool(self._in_flight)

    @property
    def safe_and_idle(self) -> Offsets:
        """The safe offsets of partitions that have no messages in flight."""
        return {key: offset for key, offset in self.safe.items() if key not in self._in_flight}

    def assigned(self, messages: Iterable[Message]) -> list[Message]:
        """The messages of partitions that are still assigned."""
        return [each for each in messages if (each.topic(), each.partition()) in self.positions]

    def advance(self, messages: Iterable[Message]) -> None:
        """These messages are about to be returned."""
        self.positions.update(_next_offsets(messages))

    def track(self, messages: Iterable[Message]) -> None:
        """These messages are in flight."""
        self._in_flight.update(_next_offsets(messages))

    def acknowledge(self) -> None:
        """All messages in flight are safe."""
        self.safe.update(self._in_flight)
        self._in_flight.clear()

    def record_commits(self, offsets: Mapping[Partition, int]) -> None:
        """The group has accepted these offsets."""
        self.committed.update(offsets)
        for key in offsets:
            self.safe.pop(key, None)

    def assign(self, key: Partition, start: Start) -> None:
        """The member owns the partition from now on. A start that the group does not know is safe to commit."""
        self.committed[key], self.positions[key] = start
        if start.position != start.committed:
            self.safe[key] = start.position

    def move(self, positions: Mapping[Partition, int]) -> None:
        """Continue at other positions. They are committed after the messages that are in flight."""
        self.positions.update(positions)
        for key, offset in positions.items():
            (self._in_flight if key in self._in_flight else self.safe)[key] = offset

    def release(self, key: Partition) -> Start | None:
        """Another member may own the partition now, and delivers the messages in flight. Returns where this member
        would continue; None when that is unknown."""
        self._in_flight.pop(key, None)
        self.positions.pop(key, None)
        if key not in self.committed:
            return None
        committed = self.committed.pop(key)
        position = self.safe.pop(key, committed)
        return Start(committed, position) if position >= 0 else None


def _next_offsets(messages: Iterable[Message]) -> Offsets:
    """The offset after the last message of each partition; the messages of a partition are in order."""
    last = {(message.topic(), message.partition()): message for message in messages}
    # only a message that was never delivered lacks topic, partition and offset
    return {key: message.offset() + 1 for key, message in last.items()}  # type: ignore[misc, operator]
