"""The RabbitMQ queue at a real broker."""

import socket
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest
from engine.queue.rabbitmq_kit import config_for, connected
from pydantic import ValidationError
from rabbitmq_server import Broker

from bizon.common.errors.errors import MissingDependencyError, QueueError
from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.codec import encode
from bizon.engine.queue.queue import AbstractQueue
from bizon.testing.broker_queue import BrokerConformance
from bizon.testing.queue import JOB, end, page

SMALL = 16 * 1024 * 1024  # bytes; the smallest budget of a queue


@pytest.mark.matrix(share=4, pool="brokers")
class TestRabbitMQQueue(BrokerConformance):
    @pytest.fixture
    def config(self, rabbitmq: Broker) -> RabbitMQConfig:
        return config_for(rabbitmq)

    def put_bytes(self, config: RabbitMQConfig, stream: StreamKey, body: bytes) -> None:
        broker_of(config).publish(stream.broker_name, body)

    def discard(self, config: RabbitMQConfig, stream: StreamKey) -> None:
        broker_of(config).delete(stream.broker_name)

    def test_a_full_queue_makes_the_producer_wait(self, rabbitmq: Broker, stream: StreamKey) -> None:
        """The broker refuses messages that do not fit, and gets them again once there is room."""
        limited = config_for(rabbitmq, limits={"max_bytes": 200_000}, max_message_size=64 * 1024)
        producer = connected(limited, Role.PRODUCER, stream)
        number = 0
        while producer.put(page(number, size=100_000), timeout=0.2):
            number += 1
        assert number > SMALL / 2 / 100_000
        closing = threading.Thread(target=producer.close)
        closing.start()
        consumer = connected(limited, Role.CONSUMER, stream)
        pages = InOrder(0)
        taken: list[int] = []
        while len(taken) < number:
            (message,) = self.take(consumer)
            if pages.is_repeat(message):
                consumer.discard(message)
            else:
                taken += [each.iteration for each in pages.take(message)]
                consumer.ack(JOB, taken[-1] if taken else -1)
        assert taken == list(range(number))
        closing.join(30)
        assert not closing.is_alive()
        consumer.close()
        rabbitmq.delete(stream.broker_name)

    def test_records_that_wait_are_bounded(self, rabbitmq: Broker, stream: StreamKey) -> None:
        limited = config_for(rabbitmq, limits={"max_nb_messages": 3})
        producer = connected(limited, Role.PRODUCER, stream)
        self.put(producer, page(0), page(1), page(2))
        assert not producer.put(page(3), timeout=0.1)
        consumer = connected(limited, Role.CONSUMER, stream)
        self.take(consumer)
        self.put(producer, page(3), end(4))
        assert self.take_numbers(consumer, 4) == [1, 2, 3, 4]
        for queue in (producer, consumer):
            queue.close()
        rabbitmq.delete(stream.broker_name)

    def test_a_consumer_that_is_busy_does_not_fill_its_memory(
        self, rabbitmq: Broker, config: RabbitMQConfig, stream: StreamKey, producer: AbstractQueue
    ) -> None:
        size = len(encode(page(0, size=400_000)))
        self.put(producer, *(page(number, size=400_000) for number in range(60)))
        producer.close()
        consumer = connected(config, Role.CONSUMER, stream)
        assert self.take_numbers(consumer, 20) == list(range(20))  # until portions are large

        def arrived() -> int:
            return (40 - rabbitmq.waiting(stream.broker_name)) * size

        until(lambda: arrived() > SMALL / 3 / 2)
        assert arrived() < SMALL / 3 + 2 * size
        assert self.take_numbers(consumer, 40) == list(range(20, 60))
        consumer.close()

    def test_a_queue_that_is_deleted_during_the_run_is_an_error(
        self, rabbitmq: Broker, stream: StreamKey, producer: AbstractQueue, consumer: AbstractQueue
    ) -> None:
        rabbitmq.delete(stream.broker_name)
        with pytest.raises(QueueError, match="was deleted during the run"):
            consumer.get(timeout=30)
        producer.put(page(0), timeout=0)
        with pytest.raises(QueueError, match="was deleted during the run"):
            producer.close()

    def test_a_queue_may_have_a_name_and_an_exchange(self, rabbitmq: Broker, stream: StreamKey) -> None:
        name = f"queue of {stream.stream_name}"
        own = config_for(rabbitmq, queue_name=name, exchange="amq.direct")
        producer, consumer = connected(own, Role.PRODUCER, stream), connected(own, Role.CONSUMER, stream)
        self.put(producer, page(0))
        assert self.take_numbers(consumer) == [0]
        for queue in (producer, consumer):
            queue.close()
        assert rabbitmq.waiting(name) == 1
        rabbitmq.delete(name)

    def test_a_queue_with_other_settings_is_refused_with_a_remedy(
        self, rabbitmq: Broker, stream: StreamKey, producer: AbstractQueue
    ) -> None:
        other = config_for(rabbitmq, limits={"max_bytes": 10**6})
        with pytest.raises(QueueError, match=r"exists with other settings.*rabbitmqctl delete_queue"):
            connected(other, Role.CONSUMER, stream)

    def test_each_end_does_only_its_own_part(self, producer: AbstractQueue, consumer: AbstractQueue) -> None:
        for call in (
            lambda: producer.get(0),
            lambda: producer.ack(JOB, 0),
            lambda: consumer.put(page(0), 0),
        ):
            with pytest.raises(QueueError, match="only the"):
                call()


def broker_of(config: RabbitMQConfig) -> Broker:
    queue = config.config.queue
    return Broker(queue.host, queue.port, queue.username, queue.password, queue.virtual_host)


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not condition():
        assert monotonic() < deadline


STREAM = StreamKey("never", "made", "at all")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"password": "s3cret-but-wrong"}, "user 'guest' was refused"),
        ({"username": "nobody", "password": "s3cret-but-wrong"}, "user 'nobody' was refused"),
        ({"virtual_host": "nowhere"}, "no virtual host 'nowhere'"),
        ({"host": "no-such-host.invalid"}, "no such host"),
        ({"port": 1}, "refused"),
        ({"tls": True}, "no encrypted connection"),
        ({"tls": {"ca_file": "/no/such/file.pem"}}, "files of tls cannot be used"),
        ({"exchange": "no-such-exchange", "queue_name": "bizon.test.no.exchange"}, "no exchange 'no-such-exchange'"),
    ],
)
@pytest.mark.parametrize("which", Role)
def test_a_failed_connection_is_explained_in_one_line(
    rabbitmq: Broker, wrong: dict[str, Any], reason: str, which: Role, capfd: pytest.CaptureFixture[str]
) -> None:
    config = config_for(rabbitmq, **{"password": "guest", **wrong})
    with pytest.raises(QueueError) as error:
        connected(config, which, STREAM)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)
    assert "s3cret" not in repr(config)
    assert capfd.readouterr() == ("", "")
    if "queue_name" in wrong:
        rabbitmq.delete(wrong["queue_name"])


def test_the_server_may_not_be_rabbitmq() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(QueueError, match="is not RabbitMQ"):
            connected(config_for(Broker("127.0.0.1", server.getsockname()[1])), Role.PRODUCER, STREAM)


def test_without_pika_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    for name in [name for name in sys.modules if name.startswith("bizon.engine.queue.adapters.rabbitmq.")]:
        if not name.endswith(".config"):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"bizon\[rabbitmq\]"):
        connected(config_for(Broker("127.0.0.1", 1)), Role.PRODUCER, STREAM)


def test_the_config_has_the_documented_defaults_and_no_other_keys() -> None:
    config = RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": {"host": "h"}}})
    queue = config.config.queue
    assert config.is_broker
    assert (queue.port, queue.exchange, queue.username, queue.password) == (5672, "", "guest", "guest")
    assert (queue.virtual_host, queue.tls, queue.queue_name) == ("/", False, None)
    assert (config.config.consumer.poll_interval, config.config.max_nb_messages) == (1, 1_000_000)
    with pytest.raises(ValidationError, match="unknown_key"):
        RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": {"host": "h", "hots": 1}}})
