"""Sends requests, and decides what an answer means: a page, the end of a list, a reason to ask again, or an error."""

from collections.abc import Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

import requests

from bizon.common.clock import as_utc, utc_now
from bizon.common.errors.errors import SourceError
from bizon.common.safe_log import logger
from bizon.common.waiting import is_in_time, stop_sign
from bizon.connectors.sources.rest.src.answer import Answer, Api
from bizon.connectors.sources.rest.src.answers import value_of
from bizon.source.body import shown_url
from bizon.source.session import CappedRetry, Session

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.endpoint_config import ErrorRule
    from bizon.connectors.sources.rest.src.request import Parts
    from bizon.source.body import Response
    from bizon.source.config import HttpRetriesConfig

_NO_CONTENT = 204
_USUAL = 60.0  # seconds by which clocks differ that nobody watches


class Client:
    """Used by one source, on the threads that fetch. ``overlap``: seconds that the windows of two runs share; None when
    the source reads no windows."""

    def __init__(self, session: Session, api: Api, retries: "HttpRetriesConfig", overlap: float | None = None) -> None:
        self._session = session
        self._api = api
        self._policy = CappedRetry.from_config(retries)
        self._overlap = overlap

    def send(self, parts: "Parts", rules: Sequence["ErrorRule"], layout: str) -> Answer | str:
        """The page that a request asks for; or, where a rule says to skip it, the reason as a text.

        Raises SourceFetchError, an error of requests, and StoppedError when the run must end.
        """
        for attempt in self._policy.attempts(stop_sign(), parts.method):
            response, failure = self._sent(parts)
            value = None if response.status_code == _NO_CONTENT else self._value(response, failure, layout)
            answer = Answer(value, response, self._api)
            rule = next((rule for rule in rules if rule.fits(response.status_code, value)), None)
            if rule is None:
                if failure is not None:
                    raise failure
                return self._checked(answer, response, parts)
            if rule.then == "fail":
                raise failure or answer.refused("a rule of `errors` says that this is an error")
            if rule.then == "skip":
                return f"{parts.method} {shown_url(response.url)}: HTTP {response.status_code}"
            asked_for = self._policy.get_retry_after(response.raw)
            wait = attempt.wait if asked_for is None else asked_for
            was_tried = response.status_code in self._policy.status_forcelist  # by the session, as often
            if attempt.is_last or was_tried or not is_in_time(wait):
                break
            logger.warning(f"{parts.method} {shown_url(response.url)}: a rule says to ask again; in {wait:.3g} s")
            attempt.wait = wait
        raise failure or answer.refused(
            f"a rule of `errors` says to ask again, and {attempt.number} attempts were made"
        )

    def _sent(self, parts: "Parts") -> tuple["Response", requests.HTTPError | None]:
        """The answer, and the error that its status is. Neither has a token in its URL."""
        failure: requests.HTTPError | None = None
        try:
            response = self._session.request(parts.method, self._api.unmasked(parts.url), **parts.arguments())
        except requests.HTTPError as error:
            if error.response is None:
                raise
            response, failure = cast("Response", error.response), self._safe(error)
        except requests.RequestException as error:
            raise self._safe(error) from None
        self._compare_clocks(response)
        response.url = self._api.masked(response.url)
        response.request.url = self._api.masked(response.request.url or "")
        return response, failure

    def _compare_clocks(self, response: "Response") -> None:
        """Warn once when the API's clock is so far behind that a change is stamped before the window it belongs to."""
        overlap, self._overlap = self._overlap, None
        if overlap is not None and (behind := _seconds_behind(response)) > overlap + _USUAL:
            logger.warning(
                f"the clock of {shown_url(self._api.base_url)} is {behind:.0f} s behind: changes may be in the window "
                "of no run; set `incremental.lookback` to more than that, or correct the clock of this machine"
            )

    def _value(self, response: "Response", failure: Exception | None, layout: str) -> Any:
        """The JSON value of an answer. An error is decoded for the rules alone: None when it is not JSON."""
        if failure is None:
            return value_of(response, layout)
        with suppress(requests.RequestException, SourceError, ValueError):
            return response.json()
        return None

    def _checked(self, answer: Answer, response: requests.Response, parts: "Parts") -> Answer:
        if response.status_code >= requests.codes.bad_request:  # where `http.raise_for_status` is false
            raise answer.refused("the API refuses the request")
        is_graphql = isinstance(parts.json, dict) and isinstance(parts.json.get("query"), str)
        if is_graphql and isinstance(answer.value, dict) and answer.value.get("errors"):
            raise answer.refused("the answer holds `errors`, so its data may lack something")
        return answer

    def _safe(self, error: Any) -> Any:
        """The error without the token that is part of its URL."""
        text = str(error.args[0]) if error.args else ""
        if text != self._api.masked(text):
            error.args = (self._api.masked(text),)
        return error


def _seconds_behind(response: "Response") -> float:
    """By how much the clock of a server differs from ours; 0 where it does not say. An answer of a cache has an age."""
    try:
        said = as_utc(parsedate_to_datetime(response.headers.get("Date", "")))
        age = float(response.headers.get("Age", 0))
    except ValueError:
        return 0.0
    return (utc_now() - said).total_seconds() - age
