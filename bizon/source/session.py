"""The HTTP session of a source. The one place where requests are given time-outs and sent again."""

import re
from contextlib import suppress
from http import HTTPStatus
from itertools import takewhile
from ssl import SSLCertVerificationError
from typing import Any, Self, cast

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import InvalidHeader, MaxRetryError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from bizon.common.safe_log import logger
from bizon.source.body import Response, shown_url
from bizon.source.config import HttpConfig, HttpRetriesConfig

_POOL_SIZE = 64  # connections kept open, for connectors that fetch on several threads
_LARGEST_EXPONENT = 60  # keeps the doubling of the back-off inside a float
_USER_INFO = re.compile(r"://[^/@\s]*@")
_NO_METHOD = frozenset({"-"})  # urllib3 reads an empty set as "every method"


class Session(requests.Session):
    """A ``requests.Session`` that cannot wait for ever and tries again when that may help.

    Made by ``AbstractSource.get_session``, used on the thread that fetches; several threads may share it. A request
    that fails for good raises what requests raises (``HTTPError``, ``ConnectionError``, ``Timeout``...), with a text
    that holds neither query string, credentials, header nor body. ``raise_for_status=False`` hands 4xx and 5xx
    answers to the caller instead. ``timeout`` is (connect, read) in seconds; the read limit is for each wait on the
    socket, not for the whole answer. ``json`` of an answer decodes JSON as JSON, whatever its label: see ``body.py``.
    Not promised: that a retried POST reached the server only once.
    """

    def __init__(
        self,
        retries: HttpRetriesConfig | None = None,
        timeout: tuple[float, float] | None = None,
        raise_for_status: bool = True,
    ) -> None:
        super().__init__()
        defaults = HttpConfig()
        self.timeout = timeout or defaults.timeout
        policy = CappedRetry.from_config(retries or defaults.retries)
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(_POOL_SIZE, _POOL_SIZE, max_retries=policy))
        if raise_for_status:
            self.hooks["response"] = [_raise_for_status]

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Response:
        """As in requests; a request without ``timeout`` gets the one of the session."""
        try:
            return cast(Response, super().request(method, url, *args, **kwargs))
        except requests.RequestException as error:
            raise _without_secrets(error, method, url) from None

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As in requests; also called for each redirect."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            raise _without_secrets(error, request.method, request.url) from None
        if response.__class__ is requests.Response:  # adapters of requests know no other
            response.__class__ = Response
        return cast(Response, response)

    def call(
        self, method: str, url: str, content_type: str | None = "application/json", *args: Any, **kwargs: Any
    ) -> Response:
        """Send one request of any HTTP method with this content type; further arguments are those of ``request``.

        The content type is set on this request only, and a ``Content-Type`` among the given headers wins.
        """
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict(kwargs.pop("headers", None) or {})
        if content_type is not None:
            headers.setdefault("Content-Type", content_type)
        return self.request(method.upper(), url, *args, headers=headers, **kwargs)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: requests.Response) -> None:
        """Called by requests for each redirect: what authenticates follows to the same host and to no other.

        requests does this for ``Authorization`` alone; here it also holds for headers and cookies of the builder.
        """
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        get_auth_header = getattr(self.auth, "get_auth_header", None)
        if get_auth_header is None:
            return
        names = list(get_auth_header())
        if self.should_strip_auth(response.request.url, prepared_request.url):  # type: ignore[no-untyped-call]
            for name in names:
                if name != "Cookie":  # requests has replaced that one by the cookies of the new host
                    prepared_request.headers.pop(name, None)
        elif all(name in response.request.headers for name in names):
            cast(Any, self.auth)(prepared_request)


class CappedRetry(Retry):
    """urllib3's policy with the waits of ``source.http.retries``: doubling from the first retry on, never above
    ``wait_max`` seconds (None = no cap), whatever ``Retry-After`` asks for. A Retry-After that cannot be read is
    ignored. Only configured statuses are retried, and no bad certificate; after the last retry the answer itself is
    returned."""

    RETRY_AFTER_STATUS_CODES = frozenset()  # urllib3 would retry these even when they are not configured
    wait_max: float | None = None

    @classmethod
    def from_config(cls, config: HttpRetriesConfig) -> Self:
        """The policy that the configuration describes."""
        policy = cls(
            total=config.total,
            allowed_methods=frozenset(method.upper() for method in config.allowed_methods) or _NO_METHOD,
            status_forcelist=frozenset(config.status_forcelist),
            backoff_factor=config.backoff_factor,
            raise_on_status=False,
        )
        policy.wait_max = config.retry_after_max
        return policy

    def new(self, **kw: Any) -> Self:
        policy = super().new(**kw)
        policy.wait_max = self.wait_max
        return policy

    def get_backoff_time(self) -> float:
        """Seconds before the next attempt."""
        failures = sum(1 for _ in takewhile(lambda past: past.redirect_location is None, reversed(self.history)))
        if not failures:
            return 0
        return self._capped(self.backoff_factor * 2 ** min(failures - 1, _LARGEST_EXPONENT))

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds the server asks for, in either form of the header, at most ``wait_max``."""
        try:
            seconds = super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return None if seconds is None else self._capped(seconds)

    def increment(self, method: str | None = None, url: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Called by urllib3 after each failed attempt; raises when there is none left or it would be in vain."""
        error = kwargs.get("error")
        if isinstance(error, SSLError) and error.args and isinstance(error.args[0], SSLCertVerificationError):
            raise MaxRetryError(kwargs["_pool"], url, error) from error
        policy = super().increment(method, url, *args, **kwargs)
        last = policy.history[-1]
        cause = f"HTTP {last.status}" if last.error is None else type(last.error).__name__
        place = f"{getattr(kwargs.get('_pool'), 'host', '')}{shown_url(url)}"
        logger.warning(f"{method} {place}: {cause}; trying again, {policy.total} retries left")
        return policy

    def _capped(self, seconds: float) -> float:
        return seconds if self.wait_max is None else min(seconds, self.wait_max)


class _SafeText(str):
    """An error text that has been cleaned."""

    __slots__ = ()


def _raise_for_status(response: requests.Response, *_args: Any, **_kwargs: Any) -> requests.Response:
    code = response.status_code
    if code < HTTPStatus.BAD_REQUEST:
        return response
    with suppress(requests.RequestException):
        _ = response.content  # for whoever catches the error, and the connection goes back to the pool
    known = code in HTTPStatus._value2member_map_
    phrase = HTTPStatus(code).phrase if known else "unknown status"
    text = f"{response.request.method} {shown_url(response.url)}: HTTP {code} {phrase}"
    raise requests.HTTPError(_SafeText(text), response=response)


def _without_secrets(error: requests.RequestException, method: Any, url: Any) -> requests.RequestException:
    """The same error with a text that is safe to show, cut off from the urllib3 errors that quote the whole URL."""
    if not (error.args and isinstance(error.args[0], _SafeText)):
        error.args = (_SafeText(f"{method} {shown_url(url)}: {_reason(error)}"),)
    error.__context__ = None
    return error


def _reason(error: requests.RequestException) -> str:
    name = type(error).__name__
    if isinstance(error, requests.exceptions.InvalidHeader):
        return f"{name}: a header value begins with a space or holds a line break (a token with a newline at its end?)"
    if isinstance(error, ValueError):  # its text quotes what was sent
        return f"{name}: the request is not valid"
    inner = error.args[0] if error.args else ""
    inner = getattr(inner, "reason", inner)  # urllib3: MaxRetryError quotes the URL, its reason does not
    return f"{name}: {_USER_INFO.sub('://', str(inner).partition('?')[0])}"
