"""HTTP for destinations: a session with time-outs and retries, and its errors in the words of a destination."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from requests.auth import AuthBase

from bizon.common.errors.errors import DestinationWriteError
from bizon.source.session import Session

if TYPE_CHECKING:
    from bizon.source.config import HttpConfig

_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


def http_session(config: "HttpConfig", auth: AuthBase | None = None) -> Session:
    """A session for one run, as sources have it: limits on every wait, retries that end when the run must end, and no
    secret in the text of an error. ``auth`` signs each request."""
    session = Session(config.retries, config.timeout, config.raise_for_status, credentials_key="destination.config")
    session.auth = auth
    return session


@contextmanager
def sending(alias: str) -> Iterator[None]:
    """Within: requests that write. An error of requests becomes DestinationWriteError; it is retryable when the server
    was unreachable, busy or failing. ``alias``: the destination, as errors name it."""
    try:
        yield
    except requests.RequestException as error:
        raise DestinationWriteError(f"{alias}: {error}", retryable=_may_pass(error)) from error


def _may_pass(error: requests.RequestException) -> bool:
    if error.response is None:
        return isinstance(error, (requests.ConnectionError, requests.Timeout))
    status = error.response.status_code
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING
