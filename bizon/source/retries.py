"""Retries of HTTP requests: when a retry may help, after how long, and with which credentials."""

from collections.abc import Callable, Hashable, Iterator
from http import HTTPStatus
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from weakref import WeakValueDictionary

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import rewind_body
from urllib3.exceptions import InvalidHeader
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from bizon.common.safe_log import logger
from bizon.common.waiting import Attempt, StopSign, back_off, is_in_time, pause, stop_sign
from bizon.source.body import Response, shown_url
from bizon.source.failures import brief, is_temporary, was_not_sent

if TYPE_CHECKING:
    from bizon.source.config import HttpRetriesConfig

_POOL_SIZE = 64  # connections kept open, for connectors that fetch on several threads
_TOO_FAST = (HTTPStatus.TOO_MANY_REQUESTS, 529)  # 529: not a standard; "overloaded"
_NO_METHOD = frozenset({"-"})  # urllib3 reads an empty set as "every method"


class Signer(Protocol):
    """An authenticator whose credentials may expire during a run."""

    def sign_again(self, request: PreparedRequest) -> None:
        """Called before a retry: replace credentials that expired during the wait."""

    def renew(self, request: PreparedRequest) -> bool:
        """Called once per request that got a 401. True when the request now carries other credentials."""


class Pace(Protocol):
    """The rate limit of an API, shared by all threads of a session. Called on the thread of each request."""

    def wait(self, sign: StopSign | None) -> None:
        """Called before each attempt; returns when it may be sent. Raises StoppedError once ``sign`` is set."""

    def hold(self, seconds: float) -> None:
        """Called when the API refuses a request for this many seconds: no thread sends anything before."""


Kept = TypeVar("Kept", bound=Pace)
_paces: "WeakValueDictionary[tuple[object, ...], Any]" = WeakValueDictionary()
_paces_lock = Lock()


def shared_pace(make: Callable[[], Kept], *limit: Hashable) -> Kept:
    """The pace for a limit, which all sources of a process with the same limit share: several streams of one pipeline
    are several sources. ``limit``: the API, whose budget it is, and the rate. ``make`` creates the pace for the first
    of them. Called by ``get_session`` of a source."""
    with _paces_lock:
        pace: Kept | None = _paces.get(limit)
        if pace is None:
            pace = _paces[limit] = make()
        return pace


class CappedRetry(Retry):
    """The policy of ``source.http.retries``. Only the configured statuses are retried; after the last retry the answer
    itself is returned. ``wait_max``: the longest wait in seconds, also when ``Retry-After`` asks for more; None = no
    limit."""

    RETRY_AFTER_STATUS_CODES = frozenset()  # urllib3 would retry these even when they are not configured
    wait_max: float | None = None

    @classmethod
    def from_config(cls, config: "HttpRetriesConfig") -> Self:
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

    def attempts(self, sign: StopSign | None, method: str | None = None) -> Iterator[Attempt]:
        """The first attempt and its retries, with waits that double. Raises StoppedError once ``sign`` is set. Only the
        first attempt for a ``method`` that may not be sent twice."""
        longest = inf if self.wait_max is None else self.wait_max
        retries = int(self.total or 0) if method is None or self.allows(method) else 0
        return back_off(self.backoff_factor, longest, tries=retries + 1, sleep=lambda wait: pause(wait, sign))

    def allows(self, method: str | None) -> bool:
        """Whether a request of this method may reach the server twice."""
        return (method or "").upper() in (self.allowed_methods or ())

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds the server asks for, in either form of the header, at most ``wait_max``. None when the header is
        absent or cannot be parsed."""
        try:
            seconds = super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return seconds if seconds is None or self.wait_max is None else min(seconds, self.wait_max)


class RetryingAdapter(HTTPAdapter):
    """Sends a request until it gets a whole answer, body included, or a retry would not help. Used by one session, on
    its threads.

    Reading the body is part of the attempt, so a body that breaks off is retried like a refused connection. With
    ``stream=True`` the caller reads the body: one that breaks off raises there, and is not retried.
    """

    def __init__(self, policy: CappedRetry, sign: StopSign | None) -> None:
        super().__init__(_POOL_SIZE, _POOL_SIZE, max_retries=0)
        self.policy = policy
        self.pace: Pace | None = None
        self._sign = sign

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """As in requests. Raises StoppedError when the run ends while the request waits for its next attempt."""
        signer, is_renewed = signer_of(request), False
        sign = stop_sign() or self._sign
        for attempt in self.policy.attempts(sign):
            if signer is not None and attempt.number > 1:
                signer.sign_again(request)
            result = self._outcome(request, *args, **kwargs)
            if signer is not None and not is_renewed and _is_unauthorized(result) and _can_be_sent_again(request):
                is_renewed = True
                if signer.renew(request):
                    logger.info(
                        f"{_named(request)}: HTTP 401, the token or session has expired; retrying with a new one"
                    )
                    _discard(result)
                    result = self._outcome(request, *args, **kwargs)
            wait = None if attempt.is_last else self._wait_before_retry(request, result, attempt.wait)
            if wait is None:
                break
            attempt.wait = wait
            cause = f"HTTP {result.status_code}" if isinstance(result, Response) else brief(result)
            left = int(self.policy.total or 0) - attempt.number
            logger.warning(f"{_named(request)}: {cause}; retrying in {wait:.3g} s, retries left: {left}")
            _discard(result)
            pause(0, sign)  # a run that must end sends nothing, even when there is no wait
        if isinstance(result, Response):
            return result
        raise result

    def _outcome(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response | requests.RequestException:
        if self.pace is not None:
            self.pace.wait(stop_sign() or self._sign)
        try:
            return self._send_once(request, *args, **kwargs)
        except requests.RequestException as error:
            return error

    def _send_once(self, request: PreparedRequest, stream: bool = False, *args: Any, **kwargs: Any) -> Response:
        answer: Any = super().send(request, stream, *args, **kwargs)
        answer.__class__ = Response
        if not stream:
            try:
                _ = answer.content
            except BaseException:
                answer.close()
                raise
        return answer  # type: ignore[no-any-return]

    def _wait_before_retry(
        self, request: PreparedRequest, result: Response | requests.RequestException, usual: float
    ) -> float | None:
        """Seconds until the retry, ``usual`` unless the server asks for another wait; None when there is no retry."""
        allowed, wait = self.policy.allows(request.method), usual
        if isinstance(result, Response):
            if result.status_code not in self.policy.status_forcelist or not allowed:
                return None
            asked_for = self.policy.get_retry_after(result.raw)
            wait = usual if asked_for is None else asked_for
            if self.pace is not None and (asked_for is not None or result.status_code in _TOO_FAST):
                self.pace.hold(wait)
        elif not is_temporary(result) or not (allowed or was_not_sent(result)):
            return None
        return wait if is_in_time(wait) and _can_be_sent_again(request) else None


def signer_of(request: PreparedRequest) -> Signer | None:
    """The authenticator that the session noted on the request; None when its credentials never expire."""
    signer = getattr(request, "signed_by", None)
    return signer if hasattr(signer, "renew") else None


def _can_be_sent_again(request: PreparedRequest) -> bool:
    """Whether its body can be read a second time. A file is rewound to its start position."""
    if request.body is None or isinstance(request.body, str | bytes):
        return True
    if not isinstance(getattr(request, "_body_position", None), int):
        return False
    rewind_body(request)
    return True


def _is_unauthorized(result: Response | requests.RequestException) -> bool:
    return isinstance(result, Response) and result.status_code == HTTPStatus.UNAUTHORIZED


def _discard(result: Response | requests.RequestException) -> None:
    if isinstance(result, Response):
        result.close()


def _named(request: PreparedRequest) -> str:
    url = shown_url(request.url)
    return f"{request.method} {url.partition('://')[2] or url}"
