"""Requests to Google: which failures pass, how long a request is repeated, and errors in one line.

All requests of the family go by ``REQUEST_OPTIONS``, and all jobs by ``BigQueryJobs.done`` or ``Tables.query``. They
are repeated after a failure that passes, and after a change that BigQuery took back because another one came first
(``bizon/google/conflicts.py``). So each of them gives the same result when it is repeated, even if the first one was
done and only its answer was lost:

- A request that looks changes nothing.
- A table is created unless it is there. Its labels and its columns are changed only as long as it is as it was read
  (ETag): else the caller reads it again, and decides again.
- A named job is taken once (``bigquery_jobs.py``).
- A script compares the claim before it acts (``claim.py``), or the number of rows, in the transaction that publishes
  them (``publish.py``). A column is widened after its type was read again (``Tables.fit``).
- An object is replaced by the same one, and removed if it is there. A row of insertAll has an id.

The waits between two attempts end with the run, and with the bound of a check.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import InvalidResponse
from requests.exceptions import ConnectionError as ConnectionLost
from requests.exceptions import Timeout

from bizon.common.errors.errors import DestinationConnectionError, DestinationWriteError
from bizon.common.safe_log import logger
from bizon.common.waiting import Attempt, back_off, is_in_time
from bizon.google.conflicts import is_conflict

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_TIMEOUT = 60.0  # seconds of one request
_RETRY_FOR = 120.0  # seconds for which a request is repeated
_SPREAD = 0.5  # share of a wait; those who have met do not meet again
_PASSING_REASONS = frozenset(
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
    exceptions.Aborted,  # over gRPC; another change came first
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
    if _is_unanswered(error):
        return True
    if not isinstance(error, exceptions.GoogleAPICallError):
        return False
    return is_conflict(str(error.message)) or any(passes(each) for each in error.errors if isinstance(each, dict))


def passes(detail: Mapping[str, Any]) -> bool:
    """Whether the job that reports this error, or the request, may succeed later."""
    return detail.get("reason") in _PASSING_REASONS or is_conflict(str(detail.get("message")))


def _is_unanswered(error: BaseException) -> bool:
    """Whether the service was not reached, or had no time."""
    if isinstance(error, InvalidResponse):  # raised by an upload, before it becomes an error as above
        return error.response.status_code in _PASSING_STATUSES
    return isinstance(error, _PASSING)


def text_of(error: BaseException) -> str:
    """An error in one line, without the address of the request."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        return f"{text_of(error.cause)}, {error.message}"
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


def tell(why: str) -> None:
    """Say that something is done again."""
    logger.warning(f"bigquery: {why}; retrying")


def repeated(times: int, first: float, longest: float) -> Iterator[Attempt]:
    """Attempts at something that is more than a request, with waits of random length between them."""
    return back_off(first, longest, tries=times, spread=_SPREAD)


class RunRetry(Retry):
    """Google's policy, with waits that end with the run: Google's own ones are blind to it. Like Google's, it repeats
    what the predicate passes, after waits of random length, until the next attempt would come after the time-out. A
    check, which has a bound (``within``), ends there. Raises RetryError, and StoppedError when the run ends."""

    def __call__(
        self, func: Callable[_Given, _Result], on_error: Callable[[Exception], Any] | None = None
    ) -> Callable[_Given, _Result]:
        """``func``, repeated."""

        @wraps(func)
        def repeats(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            began = monotonic()
            for attempt in back_off(self._initial / 2, self._maximum / 2, spread=1):
                try:
                    return func(*args, **kwargs)
                except Exception as error:
                    if not self._predicate(error):
                        raise
                    waited = monotonic() - began
                    is_late = self.timeout is not None and waited + attempt.wait > self.timeout
                    if is_late or not is_in_time(attempt.wait):
                        raise exceptions.RetryError(f"for {waited:.3g} seconds", error) from error
                    tell(text_of(error))
            raise AssertionError("back_off without a bound does not end")

        return repeats


def _repeated_after(predicate: Callable[[BaseException], bool]) -> RunRetry:
    return RunRetry(predicate=predicate, initial=0.5, maximum=15.0, timeout=_RETRY_FOR)


RETRY = _repeated_after(is_passing)
"""The one retry policy: only for errors that pass by themselves, and for a bounded time."""
LOOKS = _repeated_after(_is_unanswered)
"""For looks at a job that runs: BigQuery answers them with the error of the job, which stays the same."""
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
