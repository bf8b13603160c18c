"""The settings that both sides of the queue share, and the clients made from them."""

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from bizon.common.errors.errors import QueueError

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.kafka.client import ClientEvents
    from bizon.engine.queue.adapters.kafka.config import KafkaQueueConfig

CONNECT_TIMEOUT = 20.0  # seconds


def settings(config: "KafkaQueueConfig", events: "ClientEvents", **own: Any) -> dict[str, Any]:
    """The client's settings: bizon's, the ones for one side (``own``, with _ for .), then the user's."""
    protocol = config.security_protocol
    mechanism = config.sasl_mechanism or ("PLAIN" if protocol.startswith("SASL") else None)
    given = {
        "bootstrap.servers": config.bootstrap_server,
        "security.protocol": str(protocol),
        "sasl.mechanism": mechanism,
        "sasl.username": config.sasl_username,
        "sasl.password": config.sasl_password,
        "ssl.ca.location": config.ssl_ca_location,
        "client.id": "bizon",
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
        "log.connection.close": False,
    }
    return {
        **{name: value for name, value in given.items() if value is not None},
        **{name.replace("_", "."): value for name, value in own.items()},
        **config.librdkafka,
        **{name: str(value) for name, value in config.librdkafka_secrets.items()},
        "error_cb": events.on_error,
        "logger": events,
    }


def built(kind: Any, events: "ClientEvents", options: dict[str, Any]) -> Any:
    """A client of class ``kind``. Raises QueueError for a setting that it refuses."""
    try:
        return kind(options)
    except (KafkaException, ValueError, TypeError) as error:
        reason = events.reason(error) if isinstance(error, KafkaException) else str(error)
        raise QueueError(f"the Kafka client refuses its settings, check engine.queue.config.queue: {reason}") from None
