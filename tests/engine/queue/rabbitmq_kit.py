"""Opens both sides of a RabbitMQ queue and moves pages through them, for several test files."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from loguru import logger
from proxy import Proxy
from rabbitmq_server import Broker

from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.models import QueueMessage
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.testing.queue import BUDGET, JOB, end, page


def config_for(broker: Broker, *, limits: dict[str, int] | None = None, **queue: Any) -> RabbitMQConfig:
    block = {"max_message_size": 500_000, **broker._asdict(), **queue}
    return RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": block, **(limits or {})}})


def connected(config: RabbitMQConfig, which: Role, stream: StreamKey) -> AbstractQueue:
    queue = QueueFactory.get_queue(config, role=which, stream=stream, budget=BUDGET)
    queue.connect()
    return queue


class Ends:
    """Opens sides of one queue, each with its own route to the broker, and collects their warnings."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.stream = StreamKey("faults", "source", uuid4().hex)
        self.name = self.stream.broker_name
        self.warnings: list[str] = []
        self._opened: list[AbstractQueue] = []

    def open(self, which: Role, way: Broker | Proxy | None = None, **queue: Any) -> AbstractQueue:
        to = self.broker if way is None else self.broker._replace(host=way.host, port=way.port)
        block = {**to._asdict(), "max_message_size": 100_000, **queue}
        config = RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": block}})
        opened = QueueFactory.get_queue(config, role=which, stream=self.stream, budget=BUDGET)
        opened.connect()
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        for opened in self._opened:
            with suppress(QueueError):
                opened.close()

    def consumers(self) -> int:
        """The number of consumers at the broker."""
        with self.broker.connect() as connection:
            return int(connection.channel().queue_declare(self.name, passive=True).method.consumer_count)

    def losses(self) -> int:
        return sum("connection was lost" in line for line in self.warnings)


@contextmanager
def ends_at(broker: Broker) -> Iterator[Ends]:
    ends = Ends(broker)
    sink = logger.add(lambda line: ends.warnings.append(str(line)), level="WARNING", format="{message}")
    yield ends
    ends.close()
    logger.remove(sink)
    broker.delete(ends.name)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, what
        threading.Event().wait(0.01)


def put(queue: AbstractQueue, *messages: QueueMessage) -> None:
    for message in messages:
        while not queue.put(message, timeout=1):
            pass


def put_for_ever(queue: AbstractQueue) -> None:
    deadline = monotonic() + 60
    while monotonic() < deadline:
        queue.put(page(0), timeout=0.05)


def take(queue: AbstractQueue) -> QueueMessage:
    deadline = monotonic() + 60
    while (message := queue.get(timeout=1)) is None:
        assert monotonic() < deadline, "no message"
    return message


def flow(ends: Ends, producer: AbstractQueue, consumer: AbstractQueue, count: int, faults: dict[int, Any]) -> None:
    """``count`` pages, with faults after given numbers of pages. All pages arrive in order, and none stays at the
    broker.

    The producer is never far ahead, so it still has work when a fault comes.
    """
    failures: list[BaseException] = []
    ahead = threading.Semaphore(20)

    def produce() -> None:
        try:
            for number in range(count):
                ahead.acquire(timeout=60)
                put(producer, page(number, size=(200_000 if number % 40 == 0 else 5_000)))
            put(producer, end(count))
            producer.close()
        except QueueError as error:
            failures.append(error)

    producing = threading.Thread(target=produce)
    producing.start()
    pages, seen = InOrder(0), []
    while len(seen) <= count:
        assert not failures
        message = take(consumer)
        if pages.is_repeat(message):
            consumer.discard(message)
            continue
        for each in pages.take(message):
            seen.append(each.iteration)
            ahead.release()
            if len(seen) in faults:
                faults[len(seen)]()
            if len(seen) % 10 == 0:
                consumer.ack(JOB, each.iteration)
    assert seen == list(range(count + 1))
    consumer.ack(JOB, count - 1)
    consumer.discard(message)
    producing.join(60)
    assert not producing.is_alive()
    assert not failures
    while (late := consumer.get(timeout=0.1)) is not None:  # published twice, the second time after the end
        assert pages.is_repeat(late)
        consumer.discard(late)
    consumer.close()
    assert ends.broker.waiting(ends.name) == 0
