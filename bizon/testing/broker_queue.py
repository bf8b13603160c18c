"""The behaviours of a queue whose pages leave the run and outlive it, as tests. An adapter's test file:

class TestMyQueue(BrokerConformance):
    @pytest.fixture
    def config(self, server): return MyQueueConfig.model_validate({...})
    def put_bytes(self, config, stream, body): ...  # by the broker's own client
    def discard(self, config, stream): ...
"""

import multiprocessing
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.queue.codec import MAGIC, VERSION, encode
from bizon.engine.queue.models import Signal
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.testing.queue import BUDGET, JOB, OpenQueue, QueueConformance, end, page

if TYPE_CHECKING:
    from bizon.engine.queue.config import AbstractQueueConfig

_PREFIX = struct.calcsize(">2sBI")


class BrokerConformance(QueueConformance, ABC):
    """Behaviours of a queue whose pages leave the run and outlive it."""

    @abstractmethod
    def put_bytes(self, config: "AbstractQueueConfig", stream: StreamKey, body: bytes) -> None:
        """Put a message that is not bizon's into the stream's queue, durably, by the broker's own client."""

    @abstractmethod
    def discard(self, config: "AbstractQueueConfig", stream: StreamKey) -> None:
        """Remove the queue or topic of a stream, which may not exist."""

    @pytest.fixture
    def consume(self, open_queue: OpenQueue, stream: StreamKey) -> Callable[[], AbstractQueue]:
        """Opens a consumer's queue after the one before is closed."""
        return lambda: open_queue(Role.CONSUMER, stream)

    def test_pages_wait_for_a_consumer_that_comes_later(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        self.put(producer, page(0), page(1))
        producer.close()
        assert self.take_numbers(consume(), 2) == [0, 1]

    def test_a_consumer_waits_for_a_producer_that_comes_later(
        self, consumer: AbstractQueue, open_queue: OpenQueue, stream: StreamKey
    ) -> None:
        assert consumer.get(timeout=0.1) is None
        self.put(open_queue(Role.PRODUCER, stream), page(0))
        assert self.take_numbers(consumer) == [0]

    def test_only_unacknowledged_pages_arrive_again(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        self.put(producer, *(page(number) for number in range(6)))
        first = consume()
        self.take(first, 5)
        first.ack(JOB, 2)
        first.close()
        second = consume()
        assert self.take_numbers(second, 3) == [3, 4, 5]
        second.ack(JOB, 5)
        second.close()
        self.put(producer, page(6))
        assert self.take_numbers(consume()) == [6]

    def test_an_acknowledgement_covers_only_pages_that_have_arrived(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        first = consume()
        self.put(producer, page(0))
        self.take(first)
        for _ in range(2):
            first.ack(JOB, 5)
        self.put(producer, page(1))
        self.take(first)
        first.close()
        assert self.take_numbers(consume()) == [1]

    def test_a_large_page_arrives_again_whole(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        sent = page(0, size=3 * BUDGET)
        self.put(producer, sent, page(1))
        first = consume()
        self.take(first)
        first.close()
        second = consume()
        assert self.take(second)[0].frame.equals(sent.frame)
        second.ack(JOB, 0)
        second.close()
        assert self.take_numbers(consume()) == [1]

    def test_a_discarded_message_is_forgotten(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        self.put(producer, page(9, job="another"), page(0), end(1))
        first = consume()
        foreign, _, last = self.take(first, 3)
        first.discard(foreign)
        first.ack(JOB, 0)
        first.discard(last)
        first.close()
        self.put(producer, page(2))
        assert self.take_numbers(consume()) == [2]

    def test_discarding_a_message_keeps_the_pages_before_it(
        self, producer: AbstractQueue, consume: Callable[[], AbstractQueue]
    ) -> None:
        self.put(producer, page(0), page(9, job="another"))
        first = consume()
        first.discard(self.take(first, 2)[1])
        first.close()
        assert self.take(consume())[0].iteration == 0

    def test_messages_of_another_stream_do_not_arrive(
        self, producer: AbstractQueue, consumer: AbstractQueue, open_queue: OpenQueue, stream: StreamKey
    ) -> None:
        other = StreamKey(stream.name, stream.source_name, f"{stream.stream_name}.2")
        self.put(open_queue(Role.PRODUCER, other), page(70))
        self.put(producer, page(0))
        assert self.take_numbers(consumer) == [0]
        assert self.take_numbers(open_queue(Role.CONSUMER, other)) == [70]

    @pytest.mark.parametrize("body", [b"", b"what is this?", b"BZ\x63 from the future", b"BP\x01 a torn piece"])
    def test_foreign_bytes_are_skipped_with_a_warning(
        self,
        producer: AbstractQueue,
        consume: Callable[[], AbstractQueue],
        config: "AbstractQueueConfig",
        stream: StreamKey,
        body: bytes,
    ) -> None:
        warnings: list[str] = []
        logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")
        self.put_bytes(config, stream, body)
        self.put(producer, page(0))
        first = consume()
        assert self.take_numbers(first) == [0]
        assert len(warnings) == 1
        first.ack(JOB, 0)
        first.close()
        self.put(producer, page(1))
        assert self.take_numbers(consume()) == [1]
        assert len(warnings) == 1

    @pytest.mark.parametrize("damage", [b"", b"\xff" * 8, b"\xff" * 300], ids=["torn", "without an end", "garbage"])
    def test_a_page_that_was_damaged_before_its_checksum_is_skipped_by_name_and_never_arrives_again(
        self,
        producer: AbstractQueue,
        consume: Callable[[], AbstractQueue],
        config: "AbstractQueueConfig",
        stream: StreamKey,
        damage: bytes,
    ) -> None:
        """Arrow would abort the process, and the next one that gets the page."""
        warnings: list[str] = []
        logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")
        for number in range(2):
            self.put_bytes(config, stream, _with_checksum(encode(page(number, size=500))[_PREFIX:-300] + damage))
        self.put(producer, page(2))
        first = consume()
        assert self.take_numbers(first) == [2]
        assert [f"(page {number} of job '{JOB}')" in line for number, line in enumerate(warnings)] == [True, True]
        first.ack(JOB, 2)
        first.close()
        self.put(producer, page(3))
        assert self.take_numbers(consume()) == [3]
        assert len(warnings) == 2

    def test_the_broker_reports_when_nothing_is_left(self, producer: AbstractQueue, consumer: AbstractQueue) -> None:
        """A message that has arrived no longer counts, even while it is unacknowledged."""
        for number in range(2):
            self.put(producer, page(number))
            self.until(lambda: producer.flush(timeout=1))
            self.until(lambda: not consumer.is_drained())
            assert self.take_numbers(consumer) == [number]
            self.until(lambda: consumer.get(timeout=0.01) is None and consumer.is_drained())

    def test_a_producer_that_gives_up_closes_at_once(self, producer: AbstractQueue) -> None:
        self.put(producer, page(0))
        producer.abandon()
        producer.close()
        producer.close()

    def test_the_producer_of_the_next_start_follows_the_one_before(
        self, consumer: AbstractQueue, open_queue: OpenQueue, stream: StreamKey
    ) -> None:
        for epoch in (1, 2):
            producer = open_queue(Role.PRODUCER, stream)
            self.put(producer, page(epoch, epoch=epoch), end(epoch + 1, Signal.ABORTED))
            producer.close()
        assert [message.epoch for message in self.take(consumer, 4)] == [1, 1, 2, 1]

    def test_producer_and_consumer_may_be_in_two_processes(
        self, consumer: AbstractQueue, config: "AbstractQueueConfig", stream: StreamKey
    ) -> None:
        child = multiprocessing.get_context("spawn").Process(target=produce, args=(config, stream, 20))
        child.start()
        try:
            assert self.take_numbers(consumer, 21) == list(range(21))
            child.join(self.patience)
            assert child.exitcode == 0
        finally:
            child.kill()
            child.join()


def _with_checksum(rest: bytes) -> bytes:
    return struct.pack(">2sBI", MAGIC, VERSION, zlib.crc32(rest)) + rest


def produce(config: "AbstractQueueConfig", stream: StreamKey, count: int) -> None:
    """Put ``count`` pages and an end, from another process."""
    queue = QueueFactory.get_queue(config, role=Role.PRODUCER, stream=stream, budget=BUDGET)
    queue.connect()
    for message in (*(page(number) for number in range(count)), end(count)):
        while not queue.put(message, timeout=1):
            pass
    queue.close()
