"""When pages are due for a write."""

from datetime import UTC, datetime

import polars as pl
import pytest
from fakes import FakeClock

from bizon.destination.buffer import MEGABYTE, DestinationBuffer
from bizon.rows.frames import SourcePage, empty_source_frame, records_to_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def frame(size: int = 10) -> pl.DataFrame:
    return records_to_frame([SourceRecord(id=1, data={"text": "x" * size})], NOW)


def page(iteration: int, source: pl.DataFrame | None = None) -> SourcePage:
    return SourcePage(iteration, NOW, frame() if source is None else source)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_pages_are_taken_in_order(clock: FakeClock) -> None:
    buffer = DestinationBuffer(1, 60, clock)
    for iteration in (4, 5, 6):
        buffer.add(page(iteration))
    assert [taken.iteration for taken in buffer.take()] == [4, 5, 6]
    assert buffer.is_empty
    assert buffer.size == 0


def test_without_a_buffer_every_page_is_due_at_once(clock: FakeClock) -> None:
    buffer = DestinationBuffer(0, 60, clock)
    assert not buffer.is_due()
    buffer.add(page(0))
    assert buffer.is_due()


def test_a_full_buffer_is_due(clock: FakeClock) -> None:
    buffer = DestinationBuffer(1, 60, clock)
    buffer.add(page(0, frame(MEGABYTE // 2)))
    assert not buffer.is_due()
    buffer.add(page(1, frame(MEGABYTE // 2)))
    assert buffer.is_due()


@pytest.mark.lesson("F-16")
def test_small_then_oversized_then_any_page_all_find_room(clock: FakeClock) -> None:
    """Used to crash: the age of a buffer emptied outside the time-out path was taken from an empty list."""
    buffer = DestinationBuffer(1, 60, clock)
    buffer.add(page(0))
    oversized = frame(3 * MEGABYTE)
    assert not buffer.has_room_for(oversized)
    assert len(buffer.take()) == 1
    assert buffer.has_room_for(oversized)
    buffer.add(page(1, oversized))
    assert buffer.is_due()
    buffer.take()
    assert buffer.seconds_until_due() is None
    buffer.add(page(2))
    assert not buffer.is_due()


@pytest.mark.lesson("F-18")
def test_the_oldest_page_decides_when_the_buffer_is_due(clock: FakeClock) -> None:
    """Used to be looked at only when the next page came, and wrapped around after a day."""
    buffer = DestinationBuffer(1, 90_000, clock)
    assert buffer.seconds_until_due() is None
    buffer.add(page(0))
    clock.advance(86_400)
    buffer.add(page(1))
    assert buffer.seconds_until_due() == 3600
    assert not buffer.is_due()
    clock.advance(3600)
    assert buffer.is_due()


def test_a_time_out_of_zero_never_fires(clock: FakeClock) -> None:
    buffer = DestinationBuffer(1, 0, clock)
    buffer.add(page(0))
    clock.advance(1e9)
    assert not buffer.is_due()


def test_pages_without_rows_are_collected_for_their_pagination(clock: FakeClock) -> None:
    buffer = DestinationBuffer(1, 60, clock)
    buffer.add(page(0, empty_source_frame()))
    buffer.add(page(1, empty_source_frame()))
    assert len(buffer.take()) == 2


def test_a_page_out_of_order_is_refused(clock: FakeClock) -> None:
    buffer = DestinationBuffer(1, 60, clock)
    buffer.add(page(0))
    with pytest.raises(ValueError, match="page 2 does not follow page 0"):
        buffer.add(page(2))


def test_taking_from_an_empty_buffer_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="empty"):
        DestinationBuffer(1, 60, clock).take()
