"""The pika client: what it is told, and what to install when it is not there."""

import logging
import ssl
from typing import Any

from bizon.common.errors.errors import MissingDependencyError, QueueError
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfigDetails, RabbitMQQueueConfig, RabbitMQTLSConfig

try:
    import pika  # type: ignore[import-untyped]
    from pika import exceptions
    from pika.adapters.select_connection import IOLoop  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingDependencyError("rabbitmq", "engine.queue.type 'rabbitmq'") from error

__all__ = ["IOLoop", "exceptions", "parameters", "pika", "queue_arguments"]

_ANSWER = 10.0  # seconds for each part of making a connection
_FRAME = 32 * 1024  # bytes; pika copies what it has of a frame whenever more arrives, so smaller ones are faster


def queue_arguments(config: RabbitMQConfigDetails) -> dict[str, Any]:
    """The queue's own settings at the broker. Classic, also where quorum is the default: a quorum queue drops what was
    delivered too often, and a page comes again with each start of a consumer that fails."""
    arguments: dict[str, Any] = {"x-queue-type": "classic"}
    if config.max_bytes is not None:
        arguments |= {"x-max-length-bytes": config.max_bytes, "x-overflow": "reject-publish"}
    return arguments


def parameters(queue: RabbitMQQueueConfig) -> Any:
    """What pika has to know to connect. Raises QueueError when a file of ``tls`` cannot be used."""
    log = logging.getLogger("pika")
    if log.level == logging.NOTSET:  # it logs each lost connection several times, with tracebacks; we say it once
        log.setLevel(logging.CRITICAL)
    return pika.ConnectionParameters(
        host=queue.host,
        port=queue.port,
        virtual_host=queue.virtual_host,
        credentials=pika.PlainCredentials(queue.username, str(queue.password)),
        ssl_options=_tls(queue.tls, queue.host),
        heartbeat=queue.heartbeat,
        frame_max=_FRAME,
        socket_timeout=_ANSWER,
        stack_timeout=_ANSWER,
        client_properties={"connection_name": "bizon"},
    )


def _tls(tls: bool | RabbitMQTLSConfig, host: str) -> Any:
    if not tls:
        return None
    files = RabbitMQTLSConfig() if tls is True else tls
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
        if files.cert_file is not None:
            context.load_cert_chain(files.cert_file, files.key_file)
    except OSError as error:
        raise QueueError(f"RabbitMQ: the files of tls cannot be used: {error}") from error
    return pika.SSLOptions(context, host)
