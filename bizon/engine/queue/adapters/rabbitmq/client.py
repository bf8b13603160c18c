"""The pika client: its parameters, and what to install when it is missing."""

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

_ANSWER = 10.0  # seconds for each step of connecting
_FRAME = 32 * 1024  # bytes; pika copies an incomplete frame whenever more of it arrives, so smaller frames are faster


def queue_arguments(config: RabbitMQConfigDetails) -> dict[str, Any]:
    """The queue's settings at the broker. It is classic even where quorum is the default: a quorum queue drops messages
    that were delivered too often, and each start of a failing consumer gets the same page again."""
    arguments: dict[str, Any] = {"x-queue-type": "classic"}
    if config.max_bytes is not None:
        arguments |= {"x-max-length-bytes": config.max_bytes, "x-overflow": "reject-publish"}
    return arguments


def parameters(queue: RabbitMQQueueConfig) -> Any:
    """The parameters to connect with. Raises QueueError when a file of ``tls`` cannot be used."""
    log = logging.getLogger("pika")
    if log.level == logging.NOTSET:  # pika logs each lost connection several times, with tracebacks; bizon logs it once
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
