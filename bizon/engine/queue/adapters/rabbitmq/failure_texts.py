"""Failures between this machine and the broker, each as one line with a remedy. No line has a password."""

import socket
import ssl
from typing import TYPE_CHECKING

from bizon.engine.queue.adapters.rabbitmq.client import exceptions

if TYPE_CHECKING:
    from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQQueueConfig

_NOT_ALLOWED = 530
_NOT_FOUND = 404
_PRECONDITION_FAILED = 406
_TOO_SLOW = "delivery acknowledgement"  # the consumer took longer than the broker's consumer_timeout


def gone(name: str) -> str:
    """The queue of this run no longer exists."""
    return (
        f"queue '{name}' is gone with the pages in it: it was deleted during the run, or created just before the "
        "broker crashed; run again to resume"
    )


def connection_reason(error: BaseException, config: "RabbitMQQueueConfig") -> str:
    """Why a connection failed or was lost."""
    cause = _root(error)
    if isinstance(cause, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return f"user '{config.username}' was refused: check username and password"
    if isinstance(cause, exceptions.ProbableAccessDeniedError) or getattr(cause, "args", ())[:1] == (_NOT_ALLOWED,):
        return f"there is no virtual host '{config.virtual_host}', or user '{config.username}' may not use it"
    if isinstance(cause, socket.gaierror):
        return "no such host"
    if isinstance(cause, ssl.SSLError):
        return f"no encrypted connection: {cause.reason or cause}; check tls and port"
    if isinstance(cause, exceptions.IncompatibleProtocolError):
        return "the server is not RabbitMQ, or accepts only TLS: check port and tls"
    if isinstance(cause, exceptions.ChannelClosed) and _TOO_SLOW in cause.reply_text:
        return (
            f"the broker has waited too long for the acknowledgement of a page: {cause.reply_text}; raise its "
            "consumer_timeout, or lower buffer_flush_timeout or buffer_size of the destination"
        )
    if isinstance(cause, exceptions.ConnectionClosed | exceptions.ChannelClosed):
        return f"the broker said: {cause.reply_text}"
    if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ or "Timeout" in str(cause):
        return "no answer in time"
    return str(cause) or type(cause).__name__


def channel_failure(error: BaseException, name: str) -> str | None:
    """Why the broker will never accept this channel's messages; None when a new connection may help."""
    if not isinstance(error, exceptions.ChannelClosedByBroker):
        return None
    text = error.reply_text
    if error.reply_code == _NOT_FOUND and "no queue" in text:
        return gone(name)
    if error.reply_code == _NOT_FOUND and "inaccessible" in text:  # its node in the cluster is down
        return None
    if error.reply_code != _PRECONDITION_FAILED:
        return f"queue '{name}': the broker said: {text}"
    if _TOO_SLOW in text:
        return None
    if "message size" in text:
        return f"queue '{name}': the broker said: {text}; set max_message_size to less than its max_message_size"
    return (
        f"queue '{name}' exists with other settings (the broker said: {text}); set the old max_bytes, use another "
        f"queue_name, or delete it: rabbitmqctl delete_queue '{name}'"
    )


def _root(error: BaseException) -> BaseException:
    """The innermost error: pika wraps it in up to four exceptions."""
    while True:
        inner = getattr(error, "exceptions", None) or error.args
        if isinstance(wrapped := getattr(error, "exception", None), BaseException):
            error = wrapped
        elif inner and isinstance(inner[-1], BaseException):
            error = inner[-1]
        else:
            return error
