"""Several producers in front of one queue: one bound, one order, and nobody's death is missed."""

import pytest
from fakes import run_of

from bizon.common.clock import utc_now
from bizon.common.errors.errors import QueueError
from bizon.engine.pipeline.fetcher import end_of_stream
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.lanes import Lane, lanes_of
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import empty_source_frame

END = end_of_stream(run_of("job"), 0, Signal.COMPLETE)


def page(partition: int, iteration: int) -> QueueMessage:
    return QueueMessage("job", 0, iteration, empty_source_frame(), utc_now(), {"n": 1}, partition=partition)


def opened(most_pages: int = 0) -> tuple[PythonQueue, Lane, Lane]:
    queue = PythonQueue(PythonQueueConfigDetails.model_validate({"queue": {"max_size": most_pages}}), first_page=40)
    first, second = lanes_of(queue, 2)
    return queue, first, second


def test_pages_of_all_lanes_are_numbered_in_the_order_of_their_arrival() -> None:
    queue, first, second = opened()
    for lane, partition, iteration in ((first, 0, 0), (second, 7, 3), (first, 0, 1)):
        lane.put(page(partition, iteration), timeout=0)
    found = [queue.get(timeout=0) for _ in range(3)]
    assert [message and (message.number, message.origin) for message in found] == [
        (40, (0, 0)),
        (41, (7, 3)),
        (42, (0, 1)),
    ]


def test_the_bounds_of_the_queue_hold_for_all_lanes_together() -> None:
    queue, first, second = opened(most_pages=1)
    assert first.put(page(0, 0), timeout=0)
    assert not second.put(page(1, 0), timeout=0)
    queue.get(timeout=0)
    assert second.put(page(1, 0), timeout=0)


def test_the_queue_stays_open_until_every_producer_has_sent_its_end() -> None:
    queue, first, second = opened()
    first.put(END, timeout=0)
    first.close()
    first.close()
    assert second.put(page(1, 0), timeout=0)
    second.put(END, timeout=0)
    second.close()
    assert [queue.get(timeout=0) is not None for _ in range(3)] == [True] * 3
    with pytest.raises(QueueError, match="closed"):
        queue.get(timeout=0)


def test_a_lane_that_is_closed_without_an_end_closes_the_queue_for_all() -> None:
    queue, first, second = opened()
    first.put(page(0, 0), timeout=0)
    first.close()
    with pytest.raises(QueueError, match="closed"):
        second.put(page(1, 0), timeout=0)
    assert queue.get(timeout=0) is not None, "what has arrived is not lost"
    with pytest.raises(QueueError, match="without saying how"):
        queue.get(timeout=0)
