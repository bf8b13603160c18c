"""Requests to Google: which failures pass, how long a request is repeated, and errors in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import InvalidResponse
from requests.exceptions import ConnectionError as ConnectionLost
from requests.exceptions import Timeout

from bizon.common.errors.errors import DestinationConnectionError, DestinationWriteError
from bizon.common.safe_log import logger

_TIMEOUT = 60.0  # seconds of one request
_RETRY_FOR = 120.0  # seconds for which a request is repeated
PASSING_REASONS = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
    }
)
"""BigQuery's names for errors that pass by themselves."""
_UNREACHED = (ConnectionLost, Timeout, TransportError)
_PASSING = (
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    *_UNREACHED,
)
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_ADDRESS = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) https?://\S+: ")


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, InvalidResponse):  # raised by an upload, before it becomes an error as above
        return error.response.status_code in _PASSING_STATUSES
    reasons = {detail.get("reason") for detail in getattr(error, "errors", ()) if isinstance(detail, dict)}
    return bool(reasons & PASSING_REASONS)


def text_of(error: BaseException) -> str:
    """An error in one line, without the address of the request."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        return f"{text_of(error.cause)}, for {_RETRY_FOR:.0f} seconds"
    if isinstance(error, exceptions.GoogleAPICallError):
        details = [str(detail.get("message") or "") for detail in error.errors if isinstance(detail, dict)]
        text = next(filter(None, details), _ADDRESS.sub("", str(error.message)))
        return f"{error.code or ''} {text}".strip().splitlines()[0]
    if isinstance(error, _UNREACHED):
        return f"no connection: {_first_line(_innermost(error))}"
    return _first_line(error)


def _innermost(error: BaseException) -> BaseException:
    """The cause of an error that the HTTP library has wrapped several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _tell(error: BaseException) -> None:
    logger.warning(f"bigquery: {text_of(error)}; retrying")


RETRY = Retry(predicate=is_passing, initial=0.5, maximum=15.0, multiplier=2.0, timeout=_RETRY_FOR, on_error=_tell)
"""The one retry policy: only for errors that pass by themselves, and for a bounded time."""
REQUEST_OPTIONS: dict[str, Any] = {"retry": RETRY, "timeout": _TIMEOUT}
"""Keyword arguments of every request."""


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Within: an error from Google becomes DestinationWriteError, which begins with ``what``."""
    try:
        yield
    except (exceptions.GoogleAPIError, GoogleAuthError, ConnectionLost, Timeout) as error:
        raise DestinationWriteError(f"{what}: {text_of(error)}", retryable=is_passing(error)) from error


@contextmanager
def connecting(what: str, remedy: str = "") -> Iterator[None]:
    """Within: an error from Google becomes DestinationConnectionError, with what is missing and the remedy."""
    try:
        yield
    except (exceptions.GoogleAPIError, GoogleAuthError, ConnectionLost, Timeout) as error:
        more = f"; {remedy}" if remedy and isinstance(error, exceptions.NotFound | exceptions.Forbidden) else ""
        raise DestinationConnectionError(f"{what}: {text_of(error)}{more}") from error
