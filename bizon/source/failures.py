"""Failures of requests: whether they are temporary, and their names in messages."""

import socket
import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

_TEMPORARY = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_NOT_SENT = (ConnectTimeoutError, NewConnectionError)
_UNKNOWN_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_TLS_MISMATCH = frozenset(
    {
        "CERTIFICATE_VERIFY_FAILED",
        "HTTP_REQUEST",
        "NO_CIPHERS_AVAILABLE",
        "NO_PROTOCOLS_AVAILABLE",
        "NO_SHARED_CIPHER",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_SSL_VERSION",
        "WRONG_VERSION_NUMBER",
    }
)  # reasons that OpenSSL gives when the two sides can never agree
_WRAPPED = ("reason", "original_error")  # attributes in which urllib3 keeps the error behind an error


def is_temporary(failure: requests.RequestException) -> bool:
    """Whether a retry may succeed. Not for an unknown host, a bad certificate, no common TLS version, or a body whose
    encoding contradicts its label."""
    if isinstance(failure, requests.exceptions.ContentDecodingError):
        return not any("incorrect header check" in str(each) for each in _chain(failure))
    if not isinstance(failure, _TEMPORARY):
        return False
    for each in _chain(failure):
        if isinstance(each, socket.gaierror) and each.errno in _UNKNOWN_HOST:
            return False
        if isinstance(each, ssl.SSLError) and (each.reason in _TLS_MISMATCH or isinstance(each, ssl.CertificateError)):
            return False
    return True


def brief(failure: requests.RequestException | None) -> str:
    """The failure in a few words."""
    if isinstance(failure, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return "the body broke off"
    return type(failure).__name__


def was_not_sent(failure: requests.RequestException) -> bool:
    """Whether the request never reached the server."""
    return any(isinstance(each, _NOT_SENT) for each in _chain(failure))


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """An error and all errors that it wraps, in any way that requests and urllib3 use."""
    waiting, seen = [failure], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, each.__cause__, each.__context__, *(getattr(each, name, None) for name in _WRAPPED))
        waiting += [one for one in inner if isinstance(one, BaseException)]
