"""Pages of partitions on their way through the consumer: one chain each, and an end of every producer."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import run_of

from bizon.common.clock import utc_now
from bizon.common.errors.errors import QueueError, SourceFetchError
from bizon.engine.partitions import PageOrigin, Partition, Positions
from bizon.engine.pipeline.fetcher import end_of_stream
from bizon.engine.pipeline.marks import Marks
from bizon.engine.pipeline.models import PageMark
from bizon.engine.pipeline.partition_order import PartitionOrder
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import empty_source_frame

TWO = (Partition(0, {}), Partition(1, {}))


def page(partition: int | None, iteration: int, pagination: dict[str, Any], **more: Any) -> QueueMessage:
    where = {"partition": partition, "pagination": pagination, **more}
    return QueueMessage("job", 1, iteration, empty_source_frame(), utc_now(), **where)


def end(signal: Signal) -> QueueMessage:
    return end_of_stream(run_of("job", 1), 0, signal)


@pytest.fixture
def order() -> PartitionOrder:
    return PartitionOrder(Positions.of_checkpoint(TWO, {}), producers=2)


def test_pages_of_partitions_may_arrive_in_any_mixture(order: PartitionOrder) -> None:
    for message in (page(1, 0, {"at": 1}), page(0, 0, {"at": 1}), page(1, 1, {}), page(0, 1, {})):
        assert order.take(message) == [message]


@pytest.mark.parametrize("iteration", [0, 2])
def test_a_page_out_of_order_is_an_error(order: PartitionOrder, iteration: int) -> None:
    order.take(page(1, 0, {"at": 1}))
    with pytest.raises(QueueError, match="page 1 of partition 1 is missing"):
        order.take(page(1, iteration, {"at": 2}))


def test_a_page_after_the_last_one_is_an_error(order: PartitionOrder) -> None:
    order.take(page(1, 0, {}))
    with pytest.raises(QueueError, match="partition 1"):
        order.take(page(1, 1, {}))


def test_a_page_without_a_partition_is_an_error(order: PartitionOrder) -> None:
    with pytest.raises(QueueError, match="names no partition"):
        order.take(page(None, 0, {}))


def test_the_stream_is_complete_when_every_producer_is(order: PartitionOrder) -> None:
    order.take(page(0, 0, {}))
    assert order.take(end(Signal.COMPLETE)) == []
    order.take(page(1, 0, {}))
    assert [message.signal for message in order.take(end(Signal.COMPLETE))] == [Signal.COMPLETE]


@pytest.mark.parametrize("ends", [(Signal.ABORTED, Signal.COMPLETE), (Signal.COMPLETE, Signal.ABORTED)])
def test_the_stream_is_aborted_when_one_producer_is(order: PartitionOrder, ends: tuple[Signal, Signal]) -> None:
    order.take(page(0, 0, {}))
    assert order.take(end(ends[0])) == []
    assert [message.signal for message in order.take(end(ends[1]))] == [Signal.ABORTED]


def test_complete_ends_with_a_partition_left_are_an_error(order: PartitionOrder) -> None:
    order.take(page(0, 0, {}))
    order.take(end(Signal.COMPLETE))
    with pytest.raises(QueueError, match="1 partitions are incomplete"):
        order.take(end(Signal.COMPLETE))


def test_partitions_that_differ_in_the_state_for_the_next_run_are_an_error(order: PartitionOrder) -> None:
    order.take(page(0, 0, {"at": 1}, next_state={"until": 5}))
    order.take(page(1, 0, {"at": 1}))
    order.take(page(0, 1, {"at": 2}, next_state={"until": 5}))
    with pytest.raises(SourceFetchError, match="partition 1, iteration 1: next_state differs"):
        order.take(page(1, 1, {"at": 2}, next_state={"until": 6}))


def test_a_batch_keeps_the_last_pagination_of_each_partition() -> None:
    marks = Marks()
    for number, (partition, iteration) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        mark = PageMark(number, {"at": number}, {"n": 1} if number == 1 else None, PageOrigin(partition, iteration))
        marks.add(mark, keeps_all=False)
    kept = marks.take()
    assert [mark.pagination for mark in kept] == [{}, {}, {"at": 2}, {"at": 3}]
    assert [mark.next_state for mark in kept] == [None, None, None, {"n": 1}]
    assert marks.take() == ()


def test_the_number_of_a_page_in_its_job_does_not_travel() -> None:
    message = page(1, 4, {})
    assert message.page == 4
    assert replace(message, number=17).page == 17
    assert replace(message, number=17) == message
