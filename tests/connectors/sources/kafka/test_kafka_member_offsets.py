"""The bookkeeping of a group member: in flight, safe, committed."""

from typing import Any

import pytest

from bizon.connectors.sources.kafka.src.member_offsets import MemberOffsets, Start

FIRST, SECOND = ("orders", 0), ("orders", 1)


class Message:
    """The part of a message that offsets need."""

    def __init__(self, key: tuple[str, int], offset: int) -> None:
        self._key, self._offset = key, offset

    def topic(self) -> str:
        return self._key[0]

    def partition(self) -> int:
        return self._key[1]

    def offset(self) -> int:
        return self._offset


@pytest.fixture
def offsets() -> MemberOffsets:
    """Two partitions: the group has an offset of the first, and none of the second."""
    made = MemberOffsets()
    made.assign(FIRST, Start(5, 5))
    made.assign(SECOND, Start(-1, 0))
    return made


def messages(*offsets: tuple[tuple[str, int], int]) -> Any:
    return [Message(key, offset) for key, offset in offsets]


def test_only_a_start_that_the_group_does_not_know_is_committed(offsets: MemberOffsets) -> None:
    assert offsets.safe == {SECOND: 0}


def test_an_offset_is_safe_once_it_is_acknowledged_and_gone_once_it_is_committed(offsets: MemberOffsets) -> None:
    page = messages((FIRST, 5), (FIRST, 6))
    offsets.advance(page)
    offsets.track(page)
    assert (offsets.positions[FIRST], offsets.has_in_flight) == (7, True)
    assert offsets.safe == {SECOND: 0}
    offsets.acknowledge()
    assert (offsets.safe, offsets.has_in_flight) == ({FIRST: 7, SECOND: 0}, False)
    offsets.record_commits({FIRST: 7})
    assert (offsets.committed[FIRST], offsets.safe) == (7, {SECOND: 0})


def test_a_move_is_committed_after_the_messages_in_flight(offsets: MemberOffsets) -> None:
    offsets.track(messages((FIRST, 5)))
    offsets.move({FIRST: 20, SECOND: 3})
    assert offsets.safe == offsets.safe_and_idle == {SECOND: 3}
    offsets.acknowledge()
    assert offsets.safe == {FIRST: 20, SECOND: 3}


def test_a_released_partition_continues_after_its_safe_messages(offsets: MemberOffsets) -> None:
    offsets.track(messages((FIRST, 5)))
    offsets.acknowledge()
    offsets.track(messages((FIRST, 6)))
    assert offsets.release(FIRST) == Start(5, 6)
    assert offsets.assigned(messages((FIRST, 7), (SECOND, 0)))[0].partition() == 1
    assert not offsets.has_in_flight


def test_a_released_partition_without_any_offset_is_forgotten() -> None:
    assert MemberOffsets().release(FIRST) is None
