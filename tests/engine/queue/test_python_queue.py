"""The in-process queue, and the same over a pipe between processes."""

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfigDetails
from bizon.engine.queue.adapters.python_queue.pipe import PipeReceiver, PipeSender
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.rows.frames import empty_source_frame, records_to_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(iteration: int = 0, records: int = 1, size: int = 10, signal: Signal | None = None) -> QueueMessage:
    frame = records_to_frame([SourceRecord(id=n, data={"t": "x" * size}) for n in range(records)], NOW)
    return QueueMessage("job", 1, iteration, empty_source_frame() if signal else frame, NOW, {"n": 1}, signal=signal)


def queue(**config: object) -> PythonQueue:
    return PythonQueue(PythonQueueConfigDetails.model_validate(config))


def test_messages_come_out_in_order() -> None:
    pages = queue()
    for iteration in range(3):
        assert pages.put(message(iteration), timeout=0)
    assert [pages.get(timeout=0).iteration for _ in range(3)] == [0, 1, 2]  # type: ignore[union-attr]


def test_an_empty_queue_returns_none_after_the_timeout() -> None:
    assert queue().get(timeout=0.01) is None


@pytest.mark.lesson("F-30")
def test_the_queue_is_bounded_by_bytes() -> None:
    """The queue was once unbounded by default, and large records filled the memory."""
    pages = queue(max_bytes=25_000)
    assert pages.put(message(size=10_000), timeout=0)
    assert pages.put(message(size=10_000), timeout=0)
    assert not pages.put(message(size=10_000), timeout=0)
    pages.get(timeout=0)
    assert pages.put(message(size=10_000), timeout=0)


@pytest.mark.lesson("F-30")
def test_pages_count_towards_the_budget_until_they_are_acknowledged() -> None:
    """A page that has left the queue waits in the buffer, and still takes memory."""
    pages = PythonQueue(PythonQueueConfigDetails(), budget=20 * 1024 * 1024)
    for iteration in range(3):
        assert pages.put(message(iteration, size=6_000_000), timeout=0)
    assert pages.get(timeout=0) is not None
    assert not pages.put(message(3, size=6_000_000), timeout=0)
    pages.ack("job", 0)
    assert pages.put(message(3, size=6_000_000), timeout=0)


def test_an_empty_queue_has_room_for_a_page_whatever_waits_in_the_buffer() -> None:
    """The consumer may wait for this page before it writes; a refusal would block both sides forever."""
    pages = PythonQueue(PythonQueueConfigDetails(), budget=20 * 1024 * 1024)
    assert pages.put(message(0, size=19_000_000), timeout=0)
    assert pages.get(timeout=0) is not None
    assert pages.put(message(1, size=19_000_000), timeout=0)


@pytest.mark.lesson("F-30")
def test_without_configuration_the_queue_is_still_bounded_by_bytes() -> None:
    pages = queue()
    accepted = 0
    while accepted < 100 and pages.put(message(size=1_000_000), timeout=0):
        accepted += 1
    assert 10 <= accepted <= 20


@pytest.mark.lesson("F-30")
def test_the_queue_is_bounded_by_records_as_they_are_not_as_estimated() -> None:
    pages = queue(max_nb_messages=10)
    assert pages.put(message(records=4), timeout=0)
    assert pages.put(message(records=6), timeout=0)
    assert not pages.put(message(records=1), timeout=0)


def test_the_queue_is_bounded_by_pages() -> None:
    pages = queue(queue={"max_size": 1})
    assert pages.put(message(), timeout=0)
    assert not pages.put(message(), timeout=0)


def test_a_page_larger_than_the_queue_is_accepted_when_it_is_alone() -> None:
    pages = queue(max_bytes=10, max_nb_messages=1)
    assert pages.put(message(records=5, size=1000), timeout=0)


def test_the_end_always_finds_room() -> None:
    pages = queue(queue={"max_size": 1})
    pages.put(message(), timeout=0)
    assert pages.put(message(signal=Signal.ABORTED), timeout=0)


@pytest.mark.lesson("F-14")
def test_a_consumer_that_ends_wakes_a_producer_that_waits_for_room() -> None:
    """``put`` once waited by calling itself up to the recursion limit."""
    pages = queue(queue={"max_size": 1})
    pages.put(message(), timeout=0)
    threading.Timer(0.02, pages.close).start()
    with pytest.raises(QueueError, match="the consumer has ended"):
        pages.put(message(), timeout=30)


@pytest.mark.lesson("F-13")
def test_a_producer_that_ends_without_a_word_wakes_the_consumer_after_its_last_page() -> None:
    pages = queue()
    pages.put(message(7), timeout=0)
    pages.close()
    last = pages.get(timeout=30)
    assert last is not None
    assert last.iteration == 7
    with pytest.raises(QueueError, match="ended without saying how"):
        pages.get(timeout=30)


Ends = tuple[PipeSender, PipeReceiver]


@pytest.fixture
def ends() -> Iterator[Ends]:
    receiving, sending = multiprocessing.get_context("spawn").Pipe(duplex=False)
    config = PythonQueueConfigDetails(max_bytes=1000)
    sender, receiver = PipeSender(config, sending), PipeReceiver(config, [receiving], 1000)
    receiver.connect()
    yield sender, receiver
    sender.close()
    receiver.close()


def test_messages_cross_the_pipe_unchanged(ends: Ends) -> None:
    sender, receiver = ends
    sent = message(3, records=5)
    sender.put(sent, timeout=1)
    sender.put(message(4, signal=Signal.COMPLETE), timeout=1)
    received = receiver.get(timeout=10)
    assert received is not None
    assert received.frame.equals(sent.frame)
    assert (received.iteration, received.pagination, received.extracted_at) == (3, {"n": 1}, NOW)
    end = receiver.get(timeout=10)
    assert end is not None
    assert end.signal is Signal.COMPLETE


def test_a_producer_process_that_dies_is_noticed_after_its_last_page(ends: Ends) -> None:
    sender, receiver = ends
    sender.put(message(1), timeout=1)
    sender.close()
    assert receiver.get(timeout=10) is not None
    with pytest.raises(QueueError, match="ended without saying how"):
        receiver.get(timeout=10)


def test_a_consumer_process_that_dies_is_noticed() -> None:
    receiving, sending = multiprocessing.get_context("spawn").Pipe(duplex=False)
    receiving.close()
    sender = PipeSender(PythonQueueConfigDetails(), sending)
    with pytest.raises(QueueError, match="consumer process has ended"):
        sender.put(message(), timeout=1)
    sender.close()


def test_damaged_bytes_are_an_error_not_a_hang(ends: Ends) -> None:
    sender, receiver = ends
    sender._connection.send_bytes(b"BZ\x01 what is this")
    with pytest.raises(QueueError, match="damaged"):
        receiver.get(timeout=10)


def test_pagination_and_state_count_towards_the_budget_while_they_are_in_the_queue() -> None:
    """1,000 small pages with half a megabyte of pagination each once took gigabytes."""
    pages = PythonQueue(PythonQueueConfigDetails(), budget=20 * 1024 * 1024)
    large = replace(message(0), state_length=2_000_000)
    for iteration in range(2):
        assert pages.put(replace(large, iteration=iteration), timeout=0)
    assert not pages.put(replace(large, iteration=2), timeout=0)
    assert pages.get(timeout=0) is not None
    assert pages.put(replace(large, iteration=2), timeout=0), "the consumer keeps the last pagination only"
