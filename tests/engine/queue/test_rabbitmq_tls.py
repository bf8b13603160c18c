"""The RabbitMQ queue over TLS."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from engine.queue.rabbitmq_kit import config_for, connected
from proxy import Proxy
from rabbitmq_server import Broker

from bizon.common.errors.errors import QueueError
from bizon.engine.backend.models import Role, StreamKey
from bizon.testing.queue import page

STREAM = StreamKey("never", "made", "at all")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, followed by its key."""
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
    """The broker after a proxy that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Proxy(rabbitmq.host, rabbitmq.port, tls=context) as proxy:
        yield rabbitmq._replace(host=proxy.host, port=proxy.port)


def test_pages_travel_encrypted(rabbitmq: Broker, encrypted: Broker, certificate: Path) -> None:
    config = config_for(encrypted, tls={"ca_file": str(certificate)}, queue_name=f"bizon.test.tls.{encrypted.port}")
    producer, consumer = (connected(config, role, STREAM) for role in (Role.PRODUCER, Role.CONSUMER))
    assert producer.put(page(0, size=10**6), timeout=1)
    received = consumer.get(timeout=30)
    assert received is not None
    assert received.frame.equals(page(0, size=10**6).frame)
    for queue in (producer, consumer):
        queue.close()
    rabbitmq.delete(config.config.queue.queue_name or "")


def test_an_untrusted_certificate_is_refused(encrypted: Broker) -> None:
    with pytest.raises(QueueError, match=r"CERTIFICATE_VERIFY_FAILED.*check tls"):
        connected(config_for(encrypted, tls=True), Role.PRODUCER, STREAM)
