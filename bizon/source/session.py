"""The HTTP session of a source. All time-outs, credentials and retries of requests are set here."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import requests
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from requests.utils import get_auth_from_url

from bizon.common.errors.errors import SourceFetchError
from bizon.common.waiting import stop_sign
from bizon.source.answers import SafeText, message_in, shown
from bizon.source.body import Response, shown_url
from bizon.source.config import HttpConfig, HttpRetriesConfig
from bizon.source.failures import brief
from bizon.source.pages import Limited, Page, page_once_served
from bizon.source.redirects import note_signer, rebuild_credentials
from bizon.source.retries import CappedRetry, Pace, RetryingAdapter
from bizon.source.sent_json import exact_json

__all__ = ["CappedRetry", "Session", "refused_by"]

_USER_INFO = re.compile(r"://[^/@\s]*@")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_READ_BY_REQUESTS = (*_PROXIES, *map(str.upper, _PROXIES), "REQUEST_METHOD", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_ABOUT_THE_CALLER = frozenset(  # 4xx that say nothing about the requested resource
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class Session(requests.Session):
    """A ``requests.Session`` with a limit on every wait, which retries requests when a retry may help.

    Created by ``AbstractSource.get_session``, used on the thread that fetches; several threads may share it. A request
    that finally fails raises an error of requests (``HTTPError``, ``ConnectionError``, ``Timeout``...), whose text
    contains no query string, credentials, header or body. ``raise_for_status=False`` returns 4xx and 5xx answers to the
    caller instead. ``credentials_key``: the key that the error for a refused caller names. Settings of the source win
    over the environment: ``~/.netrc`` is not read, and proxies and certificates of the environment are used only where
    the source sets none. ``timeout`` is (connect, read) in seconds; the read limit applies to each wait on the socket,
    not to the whole answer. ``json`` of an answer decodes JSON whatever its label: see ``body.py``. Not promised: that
    a retried POST reached the server only once.
    """

    def __init__(
        self,
        retries: HttpRetriesConfig | None = None,
        timeout: tuple[float, float] | None = None,
        raise_for_status: bool = True,
        credentials_key: str = "source.authentication",
    ) -> None:
        super().__init__()
        defaults = HttpConfig()
        self.timeout = timeout or defaults.timeout
        self._policy = CappedRetry.from_config(retries or defaults.retries)
        self._sign = stop_sign()
        self._merged: tuple[Any, Any] | None = None
        for scheme in ("http://", "https://"):
            self.mount(scheme, RetryingAdapter(self._policy, self._sign))
        if raise_for_status:
            self.hooks["response"] = [partial(_raise_for_status, credentials_key)]

    def keep_pace(self, pace: Pace) -> None:
        """Send every request, retries included, at this pace. Called by a source whose API has a budget of requests,
        from ``get_session``."""
        for adapter in self.adapters.values():
            if isinstance(adapter, RetryingAdapter):
                adapter.pace = pace

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Response:
        """As in requests; ``timeout`` defaults to the time-out of the session."""
        try:
            return cast(Response, super().request(method, url, *args, **kwargs))
        except requests.RequestException as error:
            raise _without_secrets(error, method, url) from None

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """As in requests. Also called for each redirect."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            raise _without_secrets(error, request.method, request.url) from None
        if response.__class__ is requests.Response:  # from an adapter of requests
            response.__class__ = Response
        return cast(Response, response)

    def call(
        self, method: str, url: str, content_type: str | None = "application/json", *args: Any, **kwargs: Any
    ) -> Response:
        """Send one request of any HTTP method with this content type. Takes the arguments of ``request``.

        The content type is set on this request only, and a ``Content-Type`` among the given headers wins.
        """
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict(kwargs.pop("headers", None) or {})
        if content_type is not None:
            headers.setdefault("Content-Type", content_type)
        return self.request(method.upper(), url, *args, headers=headers, **kwargs)

    def page(self, method: str, url: str, *, limited: Limited | None = None, **kwargs: Any) -> Page:
        """Send a request whose answer is a page: a JSON object or list. Takes the arguments of ``request``.

        ``limited`` is for an API that limits requests by an answer of status 200: while it returns seconds, the request
        is repeated after them, within the bounds of ``source.http.retries``. Raises SourceFetchError for an answer that
        is not a page, StoppedError when the run must end, and what ``request`` raises.
        """

        def send() -> Response:
            return self.request(method, url, **kwargs)

        if limited is None:
            return Page.from_response(send())
        attempts = self._policy.attempts(stop_sign() or self._sign, method)
        return page_once_served(send, limited, attempts, self._policy.wait_max)

    def prepare_request(self, request: requests.Request) -> PreparedRequest:
        """As in requests, but without ``~/.netrc``, which would replace a header of the source; and a KeptNumber in
        ``json`` goes out with its text."""
        request = self._with_exact_json(request)
        signer = request.auth or self.auth
        if not signer:
            request = copy(request)
            request.auth = _UserOfUrl()
        prepared = super().prepare_request(request)
        note_signer(prepared, signer, (*self.headers, *(request.headers or {})))
        return prepared

    def _with_exact_json(self, request: requests.Request) -> requests.Request:
        body = None
        if not request.data and request.json is not None:
            with suppress(ValueError, TypeError):  # requests raises the error for what is not JSON
                body = exact_json(request.json)
        if body is None:
            return request
        exact = copy(request)
        exact.data, exact.json = body, None
        exact.headers = CaseInsensitiveDict(request.headers or {})
        if "Content-Type" not in self.headers:
            exact.headers.setdefault("Content-Type", "application/json")
        return exact

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As in requests, but ``proxies`` and ``verify`` of the session win over the environment. The answer is kept
        for the next request: requests reads each variable of the environment, and some of them twice."""
        own = {**self.proxies, **(proxies or {})}
        if "all" in own:
            own = {**dict.fromkeys(("http", "https"), own["all"]), **own}
        verify = self.verify if verify is None and self.verify is not True else verify
        given = (self.trust_env, url.split("/", 3)[:3], own, stream, verify, cert, self.verify, self.cert)
        asked = (given, list(map(os.environ.get, _READ_BY_REQUESTS)))
        last = self._merged
        if last is None or last[0] != asked:
            last = self._merged = asked, super().merge_environment_settings(url, dict(own), stream, verify, cert)
        return {**last[1], "proxies": dict(last[1]["proxies"])}

    def rebuild_auth(self, prepared_request: PreparedRequest, response: requests.Response) -> None:
        """Called by requests for each redirect. Credentials follow to the same host only.

        requests handles ``Authorization`` alone; this also handles every header that an authenticator adds.
        """
        leaves = self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]  # no stub
        rebuild_credentials(prepared_request, response, self.auth, leaves=leaves)


class _UserOfUrl(AuthBase):
    """Sends the user and password of the URL, as requests does, and nothing else."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        user, password = get_auth_from_url(r.url or "")
        return HTTPBasicAuth(user, password)(r) if user or password else r


def refused_by(error: BaseException) -> int | None:
    """The 4xx status with which an API refused a request, except for credentials or rate. None for any other error."""
    for each in _behind(error):
        status = each.response.status_code if isinstance(each, requests.HTTPError) and each.response is not None else 0
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _ABOUT_THE_CALLER:
            return status
    return None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raise_for_status(
    credentials_key: str, response: requests.Response, *_args: Any, **_kwargs: Any
) -> requests.Response:
    code = response.status_code
    if code < HTTPStatus.BAD_REQUEST:
        return response
    with suppress(requests.RequestException):
        _ = response.content  # kept for code that catches the error; the connection returns to the pool
    known = code in HTTPStatus._value2member_map_
    phrase = HTTPStatus(code).phrase if known else "unknown status"
    text = f"{response.request.method} {shown_url(response.url)}: HTTP {code} {phrase}"
    message = _message(response) if code < HTTPStatus.INTERNAL_SERVER_ERROR else ""
    remedy = f"; check the credentials in {credentials_key}, and what they may do" if code in _NO_ACCESS else ""
    raise requests.HTTPError(SafeText((f"{text}: {message}" if message else text) + remedy), response=response)


def _message(response: requests.Response) -> str:
    """The API's reason for its refusal; empty when it gives none, or an HTML page."""
    with suppress(requests.RequestException, SourceFetchError, RuntimeError, ValueError):  # RuntimeError: partly read
        try:
            text = message_in(response.json())
        except requests.JSONDecodeError:
            label = response.headers.get("Content-Type", "").lower()
            text = response.text if "html" not in label else ""
        return shown(text, response.request)
    return ""


def _without_secrets(error: requests.RequestException, method: Any, url: Any) -> requests.RequestException:
    """The same error with a text that is safe to show, and without the urllib3 errors that quote the whole URL."""
    if not (error.args and isinstance(error.args[0], SafeText)):
        error.args = (SafeText(f"{method} {shown_url(url)}: {_reason(error)}"),)
    error.__context__ = None
    return error


def _reason(error: requests.RequestException) -> str:
    name = type(error).__name__
    if isinstance(error, requests.exceptions.InvalidHeader):
        return f"{name}: a header value begins with a space or holds a line break (a token with a newline at its end?)"
    if isinstance(error, ValueError):  # its text quotes the request
        return f"{name}: the request is not valid"
    inner = error.args[0] if error.args else ""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{name}: {brief(error)}"
    inner = getattr(inner, "reason", inner)  # urllib3: MaxRetryError quotes the URL, its reason does not
    return f"{name}: {_USER_INFO.sub('://', str(inner).partition('?')[0])}"
