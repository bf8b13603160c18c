"""The RabbitMQ queue at a real broker."""

import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from proxy import Proxy
from pydantic import ValidationError
from rabbitmq_server import Broker

from bizon.common.clock import monotonic
from bizon.common.errors.errors import MissingDependencyError, QueueError
from bizon.engine.backend.models import StreamKey
from bizon.engine.pipeline.in_order import InOrder
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.codec import encode
from bizon.engine.queue.models import QueueEnd, broker_name
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.testing.broker_queue import BrokerConformance
from bizon.testing.queue import BUDGET, JOB, end, page

SMALL = 16 * 1024 * 1024  # bytes: the smallest budget that an end works with


def config_for(broker: Broker, *, limits: dict[str, int] | None = None, **queue: Any) -> RabbitMQConfig:
    block = {"max_message_size": 500_000, **broker._asdict(), **queue}
    return RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": block, **(limits or {})}})


class TestRabbitMQQueue(BrokerConformance):
    @pytest.fixture
    def config(self, rabbitmq: Broker) -> RabbitMQConfig:
        return config_for(rabbitmq)

    def put_bytes(self, config: RabbitMQConfig, stream: StreamKey, body: bytes) -> None:
        broker_of(config).publish(broker_name(stream), body)

    def discard(self, config: RabbitMQConfig, stream: StreamKey) -> None:
        broker_of(config).delete(broker_name(stream))

    def test_a_full_queue_makes_the_producer_wait(self, rabbitmq: Broker, stream: StreamKey) -> None:
        """The broker refuses what does not fit; what was refused comes again once there is room."""
        limited = config_for(rabbitmq, limits={"max_bytes": 200_000}, max_message_size=64 * 1024)
        producer = connected(limited, QueueEnd.PRODUCER, stream)
        number = 0
        while producer.put(page(number, size=100_000), timeout=0.2):
            number += 1
        assert number > SMALL / 2 / 100_000
        closing = threading.Thread(target=producer.close)
        closing.start()
        consumer = connected(limited, QueueEnd.CONSUMER, stream)
        pages = InOrder(0)
        taken: list[int] = []
        while len(taken) < number:
            (message,) = self.take(consumer)
            if pages.is_repeat(message):
                consumer.settle(message)
            else:
                taken += [each.iteration for each in pages.take(message)]
                consumer.ack(JOB, taken[-1] if taken else -1)
        assert taken == list(range(number))
        closing.join(30)
        assert not closing.is_alive()
        consumer.close()
        rabbitmq.delete(broker_name(stream))

    def test_records_that_wait_are_bounded(self, rabbitmq: Broker, stream: StreamKey) -> None:
        limited = config_for(rabbitmq, limits={"max_nb_messages": 3})
        producer = connected(limited, QueueEnd.PRODUCER, stream)
        self.put(producer, page(0), page(1), page(2))
        assert not producer.put(page(3), timeout=0.1)
        consumer = connected(limited, QueueEnd.CONSUMER, stream)
        self.take(consumer)
        self.put(producer, page(3), end(4))
        assert self.take_numbers(consumer, 4) == [1, 2, 3, 4]
        for queue in (producer, consumer):
            queue.close()
        rabbitmq.delete(broker_name(stream))

    def test_a_consumer_that_is_busy_does_not_fill_its_memory(
        self, rabbitmq: Broker, config: RabbitMQConfig, stream: StreamKey, producer: AbstractQueue
    ) -> None:
        size = len(encode(page(0, size=400_000)))
        self.put(producer, *(page(number, size=400_000) for number in range(60)))
        producer.close()
        consumer = connected(config, QueueEnd.CONSUMER, stream)
        assert self.take_numbers(consumer, 20) == list(range(20))  # until portions are large

        def arrived() -> int:
            return (40 - rabbitmq.waiting(broker_name(stream))) * size

        until(lambda: arrived() > SMALL / 3 / 2)
        assert arrived() < SMALL / 3 + 2 * size
        assert self.take_numbers(consumer, 40) == list(range(20, 60))
        consumer.close()

    def test_a_queue_that_is_deleted_during_the_run_is_an_error(
        self, rabbitmq: Broker, stream: StreamKey, producer: AbstractQueue, consumer: AbstractQueue
    ) -> None:
        rabbitmq.delete(broker_name(stream))
        with pytest.raises(QueueError, match="was deleted during the run"):
            consumer.get(timeout=30)
        producer.put(page(0), timeout=0)
        with pytest.raises(QueueError, match="was deleted during the run"):
            producer.close()

    def test_a_queue_may_have_a_name_and_an_exchange(self, rabbitmq: Broker, stream: StreamKey) -> None:
        name = f"queue of {stream.stream_name}"
        own = config_for(rabbitmq, queue_name=name, exchange="amq.direct")
        producer, consumer = connected(own, QueueEnd.PRODUCER, stream), connected(own, QueueEnd.CONSUMER, stream)
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
            connected(other, QueueEnd.CONSUMER, stream)

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


def connected(config: RabbitMQConfig, which: QueueEnd, stream: StreamKey) -> AbstractQueue:
    queue = QueueFactory.get_queue(config, end=which, stream=stream, budget=BUDGET)
    queue.connect()
    return queue


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
@pytest.mark.parametrize("which", QueueEnd)
def test_what_is_wrong_with_the_connection_is_said_in_a_line(
    rabbitmq: Broker, wrong: dict[str, Any], reason: str, which: QueueEnd, capfd: pytest.CaptureFixture[str]
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


def test_what_answers_may_be_no_rabbitmq() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(QueueError, match="no RabbitMQ"):
            connected(config_for(Broker("127.0.0.1", server.getsockname()[1])), QueueEnd.PRODUCER, STREAM)


def test_without_pika_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    for name in [name for name in sys.modules if name.startswith("bizon.engine.queue.adapters.rabbitmq.")]:
        if not name.endswith(".config"):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"bizon\[rabbitmq\]"):
        connected(config_for(Broker("127.0.0.1", 1)), QueueEnd.PRODUCER, STREAM)


def test_the_config_has_the_documented_defaults_and_no_other_keys() -> None:
    config = RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": {"host": "h"}}})
    queue = config.config.queue
    assert config.is_broker
    assert (queue.port, queue.exchange, queue.username, queue.password) == (5672, "", "guest", "guest")
    assert (queue.virtual_host, queue.tls, queue.queue_name) == ("/", False, None)
    assert (config.config.consumer.poll_interval, config.config.max_nb_messages) == (1, 1_000_000)
    with pytest.raises(ValidationError, match="unknown_key"):
        RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": {"host": "h", "hots": 1}}})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(pem) + plain)
    return file


@pytest.fixture
def encrypted(rabbitmq: Broker, certificate: Path) -> Iterator[Broker]:
    """The broker behind a proxy that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Proxy(rabbitmq.host, rabbitmq.port, tls=context) as proxy:
        yield rabbitmq._replace(host=proxy.host, port=proxy.port)


def test_pages_travel_encrypted(rabbitmq: Broker, encrypted: Broker, certificate: Path) -> None:
    config = config_for(encrypted, tls={"ca_file": str(certificate)}, queue_name=f"bizon.test.tls.{encrypted.port}")
    producer, consumer = (connected(config, which, STREAM) for which in (QueueEnd.PRODUCER, QueueEnd.CONSUMER))
    assert producer.put(page(0, size=10**6), timeout=1)
    received = consumer.get(timeout=30)
    assert received is not None
    assert received.frame.equals(page(0, size=10**6).frame)
    for queue in (producer, consumer):
        queue.close()
    rabbitmq.delete(config.config.queue.queue_name or "")


def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: Broker) -> None:
    with pytest.raises(QueueError, match=r"CERTIFICATE_VERIFY_FAILED.*check tls"):
        connected(config_for(encrypted, tls=True), QueueEnd.PRODUCER, STREAM)
