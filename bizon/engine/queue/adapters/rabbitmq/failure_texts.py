"""What went wrong between this machine and the broker, in a line that says what to do. No password gets in here."""

import socket
import ssl

from bizon.engine.queue.adapters.rabbitmq.client import exceptions
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQQueueConfig

_NOT_ALLOWED = 530
_NOT_FOUND = 404
_PRECONDITION_FAILED = 406
_TOO_SLOW = "delivery acknowledgement"  # of a consumer that took longer than the broker's consumer_timeout


def gone(name: str) -> str:
    """A queue that was there is not there any more."""
    return (
        f"queue '{name}' is gone with the pages in it: it was deleted during the run, or made just before the broker "
        "crashed; run again to resume"
    )


def connection_reason(error: BaseException, config: RabbitMQQueueConfig) -> str:
    """Why a connection was not made, or was lost."""
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
        return "what answers there is no RabbitMQ, or speaks TLS only: check port and tls"
    if isinstance(cause, exceptions.ChannelClosed) and _TOO_SLOW in cause.reply_text:
        return (
            f"the broker has waited too long for the acknowledgement of a page, it said: {cause.reply_text}; raise its "
            "consumer_timeout, or lower buffer_flush_timeout or buffer_size of the destination"
        )
    if isinstance(cause, exceptions.ConnectionClosed | exceptions.ChannelClosed):
        return f"the broker said: {cause.reply_text}"
    if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ or "Timeout" in str(cause):
        return "no answer in time"
    return str(cause) or type(cause).__name__


def channel_failure(error: BaseException, name: str) -> str | None:
    """Why the broker will never take what it was told; None when a new connection may help."""
    if not isinstance(error, exceptions.ChannelClosedByBroker):
        return None
    text = error.reply_text
    if error.reply_code == _NOT_FOUND and "no queue" in text:
        return gone(name)
    if error.reply_code == _NOT_FOUND and "inaccessible" in text:  # on a node of a cluster that is down
        return None
    if error.reply_code != _PRECONDITION_FAILED:
        return f"queue '{name}': the broker said: {text}"
    if _TOO_SLOW in text:
        return None
    if "message size" in text:
        return f"queue '{name}': the broker said: {text}; set max_message_size to less than its max_message_size"
    return (
        f"queue '{name}' exists with other settings (the broker said: {text}); set max_bytes as it was, use another "
        f"queue_name, or delete it: rabbitmqctl delete_queue '{name}'"
    )


def _root(error: BaseException) -> BaseException:
    """pika wraps what happened in up to four exceptions."""
    while True:
        inner = getattr(error, "exceptions", None) or error.args
        if isinstance(wrapped := getattr(error, "exception", None), BaseException):
            error = wrapped
        elif inner and isinstance(inner[-1], BaseException):
            error = inner[-1]
        else:
            return error
