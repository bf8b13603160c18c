"""Sending a request again: when it may help, after how long, and what changes before the next try."""

from http import HTTPStatus
from itertools import takewhile
from typing import Any, Protocol, Self

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import rewind_body
from urllib3.exceptions import InvalidHeader
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import RequestHistory, Retry

from bizon.common.safe_log import logger
from bizon.common.waiting import StopSign, is_in_time, pause, stop_sign
from bizon.source.body import Response, shown_url
from bizon.source.config import HttpRetriesConfig
from bizon.source.failures import brief, may_pass, was_not_sent

_POOL_SIZE = 64  # connections kept open, for connectors that fetch on several threads
_LARGEST_EXPONENT = 60  # keeps the doubling of the back-off inside a float
_NO_METHOD = frozenset({"-"})  # urllib3 reads an empty set as "every method"


class Renewing(Protocol):
    """What an authenticator offers whose credentials end during a run."""

    def sign_again(self, request: PreparedRequest) -> None:
        """Called before a request is sent again: replace what has expired while it waited."""

    def renew(self, request: PreparedRequest) -> bool:
        """Called once per request that was answered by 401. True when it carries other credentials now."""


class CappedRetry(Retry):
    """The waits of ``source.http.retries``: doubling from the first retry on, never above ``wait_max`` seconds (None =
    no cap), whatever ``Retry-After`` asks for. A Retry-After that cannot be read is ignored. Only configured statuses
    are retried; after the last retry the answer itself is returned."""

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

    @property
    def retries_left(self) -> int:
        """How often the request may be sent again."""
        return int(self.total or 0)

    def used_once(self, request: PreparedRequest) -> Self:
        """The policy of what is left once another try has failed."""
        past = RequestHistory(request.method, request.url, None, None, None)
        return self.new(total=self.retries_left - 1, history=(*self.history, past))

    def allows(self, method: str | None) -> bool:
        """Whether a request of this method may reach the server twice."""
        return (method or "").upper() in (self.allowed_methods or ())

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

    def _capped(self, seconds: float) -> float:
        return seconds if self.wait_max is None else min(seconds, self.wait_max)


class RetryingAdapter(HTTPAdapter):
    """Sends a request until it is answered, body included, or another try would not help. Used by one session, on its
    threads.

    The body is read within a try, so that one that breaks off is retried like a connection that was refused. With
    ``stream=True`` it is the caller who reads: a body that breaks off raises there, and is not asked for again.
    """

    def __init__(self, policy: CappedRetry, sign: StopSign | None) -> None:
        super().__init__(_POOL_SIZE, _POOL_SIZE, max_retries=0)
        self.policy = policy
        self._sign = sign

    def send(self, request: PreparedRequest, stream: bool = False, *args: Any, **kwargs: Any) -> Response:
        """As in requests. Raises StoppedError when the run ends while it waits for the next try."""
        policy, signer, is_renewed = self.policy, signer_of(request), False
        while True:
            failure: requests.RequestException | None = None
            answer: Response | None = None
            try:
                answer = self._send_once(request, stream, *args, **kwargs)
            except requests.RequestException as error:
                failure = error
            if answer is not None and answer.status_code == HTTPStatus.UNAUTHORIZED and not is_renewed:
                is_renewed = True
                if signer is not None and _can_be_sent_again(request) and signer.renew(request):
                    logger.info(
                        f"{_named(request)}: HTTP 401, the access token is not valid any more; sent with a new one"
                    )
                    answer.close()
                    continue
            wait = self._wait_before_next(policy, request, answer, failure)
            if wait is None:
                if answer is not None:
                    return answer
                assert failure is not None
                raise failure
            policy = policy.used_once(request)
            cause = f"HTTP {answer.status_code}" if answer is not None else brief(failure)
            logger.warning(
                f"{_named(request)}: {cause}; trying again in {wait:.3g} s, {policy.retries_left} retries left"
            )
            if answer is not None:
                answer.close()
            pause(wait, self._sign or stop_sign())
            if signer is not None:
                signer.sign_again(request)

    def _send_once(self, request: PreparedRequest, stream: bool, *args: Any, **kwargs: Any) -> Response:
        answer: Any = super().send(request, stream, *args, **kwargs)
        answer.__class__ = Response
        if not stream:
            try:
                _ = answer.content
            except BaseException:
                answer.close()
                raise
        return answer  # type: ignore[no-any-return]

    def _wait_before_next(
        self,
        policy: CappedRetry,
        request: PreparedRequest,
        answer: Response | None,
        failure: requests.RequestException | None,
    ) -> float | None:
        """Seconds until the next try; None when there is none."""
        asked_for = None
        if failure is not None:
            if not may_pass(failure) or not (policy.allows(request.method) or was_not_sent(failure)):
                return None
        elif answer is not None:
            if answer.status_code not in policy.status_forcelist or not policy.allows(request.method):
                return None
            asked_for = policy.get_retry_after(answer.raw)
        if not policy.retries_left or not _can_be_sent_again(request):
            return None
        wait = policy.used_once(request).get_backoff_time() if asked_for is None else asked_for
        return wait if is_in_time(wait) else None


def signer_of(request: PreparedRequest) -> Renewing | None:
    """The authenticator of a request whose credentials may end, as the session has noted it."""
    signer = getattr(request, "signed_by", None)
    return signer if hasattr(signer, "renew") else None


def _can_be_sent_again(request: PreparedRequest) -> bool:
    """Whether its body is there a second time; a file is put back to where it was."""
    if request.body is None or isinstance(request.body, str | bytes):
        return True
    if not isinstance(getattr(request, "_body_position", None), int):
        return False
    rewind_body(request)
    return True


def _named(request: PreparedRequest) -> str:
    url = shown_url(request.url)
    return f"{request.method} {url.partition('://')[2] or url}"
