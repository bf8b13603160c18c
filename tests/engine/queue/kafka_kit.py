"""Opens both sides of a Kafka queue and moves pages through them, for several test files."""

from contextlib import suppress
from time import monotonic
from typing import Any

from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.queue.adapters.kafka.config import KafkaConfigDetails
from bizon.engine.queue.adapters.kafka.queue import KafkaQueue
from bizon.engine.queue.models import QueueMessage
from bizon.testing.queue import page

PATIENCE = 30.0  # seconds


class Ends:
    """Opens connected queues. ``url`` is the broker's; all close when the test ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._queues: list[KafkaQueue] = []

    def producer(self, name: str, **keys: Any) -> KafkaQueue:
        """A producer's queue on topic ``name``. ``keys``: values for ``config.queue`` and ``config``, and the
        budget."""
        return self._open(Role.PRODUCER, name, **keys)

    def consumer(self, name: str, **keys: Any) -> KafkaQueue:
        """A consumer's queue on the topic."""
        return self._open(Role.CONSUMER, name, **keys)

    def close(self) -> None:
        """Close all queues, in any state."""
        for queue in self._queues:
            with suppress(QueueError):
                queue.close()

    def _open(self, role: Role, name: str, *, budget: int = 1, **keys: Any) -> KafkaQueue:
        outer = {key: keys.pop(key) for key in ("max_bytes", "max_nb_messages", "consumer") if key in keys}
        block = {"queue": {"bootstrap_server": self._url, "topic": name, **keys}, **outer}
        stream = StreamKey("pipeline", "source", name)
        queue = KafkaQueue(KafkaConfigDetails.model_validate(block), role=role, stream=stream, budget=budget)
        self._queues.append(queue)
        queue.connect()
        return queue


def take(queue: KafkaQueue, count: int) -> list[QueueMessage]:
    taken: list[QueueMessage] = []
    deadline = monotonic() + PATIENCE
    while len(taken) < count:
        assert monotonic() < deadline, f"{len(taken)} of {count} messages came"
        if (message := queue.get(0.2)) is not None:
            taken.append(message)
    return taken


def numbers(queue: KafkaQueue, count: int) -> list[int]:
    return [message.iteration for message in take(queue, count)]


def put(queue: KafkaQueue, *messages: QueueMessage) -> None:
    for message in messages:
        deadline = monotonic() + PATIENCE
        while not queue.put(message, 0.2):
            assert monotonic() < deadline


def put_until_it_fails(queue: KafkaQueue) -> str:
    """The error of a page that was refused in flight; ``put`` must raise it soon."""
    number, deadline = 0, monotonic() + PATIENCE
    while monotonic() < deadline:
        try:
            number += queue.put(page(number, size=1000), 0.05)
        except QueueError as error:
            return str(error)
    raise AssertionError("nothing was raised")
