"""The behaviours of every queue, as tests that an adapter claims by inheriting them.

``QueueConformance`` is for all queues; ``bizon.testing.broker_queue`` has more for queues whose pages leave the run.
Guide: docs/contributing/adding-queues.md. Each test has its own stream. No test measures time.
"""

import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.rows.frames import empty_source_frame, records_to_frame
from bizon.rows.rejects import records_and_rejects_to_frame
from bizon.source.models import SourceRecord

if TYPE_CHECKING:
    from bizon.engine.queue.config import AbstractQueueConfig

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
BUDGET = 2 * 1024 * 1024  # bytes
JOB = "job-1"
PAGINATION = {"next": True, "page": None, "cursor": "Zoë \u2603 \U0001f9ed", "nested": {"a": [1, 2.5, False, None]}}

OpenQueue = Callable[[Role, StreamKey], AbstractQueue]


def page(iteration: int, *, size: int = 20, job: str = JOB, epoch: int = 1) -> QueueMessage:
    """A page of one record with about ``size`` bytes, which hardly compress."""
    text = b64encode(random.Random(iteration).randbytes(size * 3 // 4)).decode()
    frame = records_to_frame([SourceRecord(id=iteration, data={"text": text})], NOW)
    return QueueMessage(job, epoch, iteration, frame, NOW, {"n": iteration + 1})


def end(iteration: int, signal: Signal = Signal.COMPLETE, *, job: str = JOB) -> QueueMessage:
    """The end of a stream."""
    return QueueMessage(job, 1, iteration, empty_source_frame(), NOW, signal=signal)


HOSTILE = {
    "a page": page(0),
    "no rows": QueueMessage(JOB, 1, 0, empty_source_frame(), NOW, {"n": 1}),
    "pagination of every type": QueueMessage(JOB, 7, 2**40, page(0).frame, NOW, PAGINATION),
    "last page": QueueMessage(JOB, 1, 3, page(3).frame, NOW, {}),
    "state": QueueMessage(JOB, 1, 4, page(4).frame, NOW, {"n": 5}, {"offsets": {"0": 17, "é": None}, "done": False}),
    "names": QueueMessage(
        JOB, 1, 5, records_to_frame([SourceRecord(id="\U0001f525", data={"\U0001f525": "a\x00b"})], NOW), NOW
    ),
    "refused records": QueueMessage(
        JOB, 1, 6, records_and_rejects_to_frame([SourceRecord(id=1, data={"a": object()})], NOW), NOW
    ),
    "complete": end(1, Signal.COMPLETE),
    "aborted": end(1, Signal.ABORTED),
}


class QueueConformance:
    """Behaviours of every queue. Override the fixture ``config``; a queue inside the run also ``open_queue``."""

    patience: ClassVar[float] = 30.0  # seconds until a missing message counts as lost

    @pytest.fixture
    def config(self) -> "AbstractQueueConfig":
        """The ``engine.queue`` block to test, with a limit for messages of at most 1 MB."""
        raise NotImplementedError("override the fixture 'config'")

    @pytest.fixture
    def stream(self) -> StreamKey:
        """The stream of this test."""
        return StreamKey("conformance", "source", uuid4().hex)

    @pytest.fixture
    def open_queue(self, config: "AbstractQueueConfig", stream: StreamKey) -> Iterator[OpenQueue]:
        """Opens and connects the queue of one role, any number of times. Afterwards all are closed and removed."""
        opened, streams = [], {stream}

        def open_one(role: Role, key: StreamKey) -> AbstractQueue:
            queue = QueueFactory.get_queue(config, role=role, stream=key, budget=BUDGET)
            opened.append(queue)
            streams.add(key)
            queue.connect()
            return queue

        yield open_one
        for queue in opened:
            queue.close()
        for key in streams:
            self.discard(config, key)

    def discard(self, config: "AbstractQueueConfig", stream: StreamKey) -> None:
        """Remove everything that a test has left at the broker."""
        return None

    @pytest.fixture
    def producer(self, open_queue: OpenQueue, stream: StreamKey) -> AbstractQueue:
        """The producer's queue for the test's stream."""
        return open_queue(Role.PRODUCER, stream)

    @pytest.fixture
    def consumer(self, open_queue: OpenQueue, stream: StreamKey) -> AbstractQueue:
        """A consumer's queue for the test's stream."""
        return open_queue(Role.CONSUMER, stream)

    def put(self, queue: AbstractQueue, *messages: QueueMessage) -> None:
        """Put all messages as the producer does, with retries while there is no room."""
        for message in messages:
            deadline = monotonic() + self.patience
            while not queue.put(message, timeout=1):
                assert monotonic() < deadline, f"no room for message {message.iteration}"

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition is true."""
        deadline = monotonic() + self.patience
        while not condition():
            assert monotonic() < deadline, "waited in vain"

    def take(self, queue: AbstractQueue, count: int = 1) -> list[QueueMessage]:
        """The next messages."""
        taken: list[QueueMessage] = []
        deadline = monotonic() + self.patience
        while len(taken) < count:
            message = queue.get(timeout=1)
            if message is not None:
                taken.append(message)
                deadline = monotonic() + self.patience
            assert monotonic() < deadline, f"{len(taken)} of {count} messages came"
        return taken

    def take_numbers(self, queue: AbstractQueue, count: int = 1) -> list[int]:
        """The iterations of the next messages."""
        return [message.iteration for message in self.take(queue, count)]

    @pytest.mark.parametrize("sent", [pytest.param(message, id=name) for name, message in HOSTILE.items()])
    def test_a_message_arrives_unchanged(
        self, producer: AbstractQueue, consumer: AbstractQueue, sent: QueueMessage
    ) -> None:
        self.put(producer, sent)
        (received,) = self.take(consumer)
        assert received.frame.equals(sent.frame)
        assert received.frame.schema == sent.frame.schema
        assert _header(received) == _header(sent)

    def test_messages_arrive_in_order(self, producer: AbstractQueue, consumer: AbstractQueue) -> None:
        self.put(producer, *(page(number) for number in range(100)), end(100))
        assert self.take_numbers(consumer, 101) == list(range(101))

    @pytest.mark.parametrize("timeout", [0, 0.05])
    def test_get_without_a_message_returns_none(self, consumer: AbstractQueue, timeout: float) -> None:
        assert consumer.get(timeout) is None

    def test_a_page_larger_than_a_message_may_be_arrives_whole(
        self, producer: AbstractQueue, consumer: AbstractQueue
    ) -> None:
        """It is larger than the budget of both sides, too, so the next page may have to wait until it is taken."""
        sent = page(0, size=3 * BUDGET)
        self.put(producer, sent)
        (received,) = self.take(consumer, 1)
        assert received.frame.equals(sent.frame)
        self.put(producer, page(1))
        assert self.take_numbers(consumer) == [1]

    def test_a_consumer_that_cannot_acknowledge_anything_yet_still_gets_the_next_page(
        self, producer: AbstractQueue, consumer: AbstractQueue
    ) -> None:
        """It may hold many times the budget in pages, since transforms can make them small."""
        for number in range(20):
            self.put(producer, page(number, size=BUDGET // 4))
            assert self.take_numbers(consumer) == [number]
        consumer.ack(JOB, 19)

    def test_nothing_is_lost_when_the_producer_closes_at_once(
        self, producer: AbstractQueue, consumer: AbstractQueue
    ) -> None:
        self.put(producer, *(page(number, size=5_000) for number in range(50)), end(50))
        producer.close()
        assert self.take_numbers(consumer, 51) == list(range(51))

    def test_closing_twice_does_no_harm(self, producer: AbstractQueue, consumer: AbstractQueue) -> None:
        for queue in (producer, consumer, producer, consumer):
            queue.close()


def _header(message: QueueMessage) -> dict[str, Any]:
    names = ("job_id", "epoch", "iteration", "extracted_at", "pagination", "next_state", "signal")
    return {name: getattr(message, name) for name in names}
