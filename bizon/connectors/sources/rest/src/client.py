"""Sends requests, and decides what an answer means: a page, the end of a list, a reason to ask again, or an error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests

from bizon.common.safe_log import logger
from bizon.common.secret import MASK
from bizon.common.waiting import StopSign, is_in_time
from bizon.connectors.sources.rest.src.answers import XmlDocument, value_of
from bizon.connectors.sources.rest.src.request import Parts, is_same_host
from bizon.connectors.sources.rest.src.selector import holds
from bizon.source.answers import SafeText
from bizon.source.body import shown_url
from bizon.source.pages import Page
from bizon.source.session import CappedRetry, Session

if TYPE_CHECKING:
    from bizon.common.errors.errors import SourceFetchError
    from bizon.connectors.sources.rest.src.endpoint_config import ErrorRule
    from bizon.source.config import HttpRetriesConfig

_NO_CONTENT = 204


class Answer:
    """An answer that is a page. ``value``: its JSON value; None for one without a body."""

    def __init__(self, value: Any, response: requests.Response, client: "Client") -> None:
        self.value = value
        self.url = response.url
        self.headers = response.headers
        self.is_empty = response.status_code == _NO_CONTENT
        self.is_xml = isinstance(value, XmlDocument)
        self._page = Page(value if isinstance(value, dict | list) else {}, response)
        self._client = client

    def refused(self, why: str) -> "SourceFetchError":
        """The error for an answer that is not what it should be. Without credentials and query."""
        return self._page.refused(why)

    def checked_link(self, url: str) -> str:
        """A link to another page, without the credentials that each request gets anew. Raises SourceFetchError when it
        leads to another host, which would get them."""
        if not is_same_host(url, self._client.base_url):
            raise self.refused(f"the link to the next page leads to another host, {shown_url(urlsplit(url).netloc)}")
        return self._client.without_credentials(url)


class Client:
    """Used by one source, on the threads that fetch. ``hidden``: names of query parameters that are credentials;
    ``secret``: a token that is part of URLs. ``sign`` ends the waits."""

    def __init__(
        self,
        session: Session,
        base_url: str,
        retries: "HttpRetriesConfig",
        sign: StopSign,
        hidden: frozenset[str] = frozenset(),
        secret: str | None = None,
    ) -> None:
        self.base_url = base_url
        self._session = session
        self._policy = CappedRetry.from_config(retries)
        self._sign = sign
        self._hidden = hidden
        self._secret = secret

    def without_credentials(self, url: str) -> str:
        """A URL without the parameters that are credentials: checkpoints keep it."""
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
        if self._hidden.isdisjoint(name for name, _ in given):
            return url
        return urlunsplit(parts._replace(query=urlencode([each for each in given if each[0] not in self._hidden])))

    def send(self, parts: Parts, rules: Sequence["ErrorRule"], layout: str) -> Answer | str:
        """The page that a request asks for; or, where a rule says to skip it, the reason as a text.

        Raises SourceFetchError, an error of requests, and StoppedError when the run must end.
        """
        for attempt in self._policy.attempts(self._sign, parts.method):
            response, failure = self._sent(parts)
            value = None if response.status_code == _NO_CONTENT else self._value(response, failure, layout)
            answer = Answer(value, response, self)
            rule = next((rule for rule in rules if _fits(rule, response.status_code, value)), None)
            if rule is None:
                if failure is not None:
                    raise failure
                return self._checked(answer, response, parts)
            if rule.then == "fail":
                raise failure or answer.refused("a rule of `errors` says that this is an error")
            if rule.then == "skip":
                return f"{parts.method} {self._shown(response.url)}: HTTP {response.status_code}"
            asked_for = self._policy.get_retry_after(response.raw)
            wait = attempt.wait if asked_for is None else asked_for
            was_tried = response.status_code in self._policy.status_forcelist  # by the session, as often
            if attempt.is_last or was_tried or not is_in_time(wait):
                break
            logger.warning(f"{parts.method} {self._shown(response.url)}: a rule says to ask again; in {wait:.3g} s")
            attempt.wait = wait
        raise failure or answer.refused(
            f"a rule of `errors` says to ask again, and {attempt.number} attempts were made"
        )

    def _sent(self, parts: Parts) -> tuple[requests.Response, requests.HTTPError | None]:
        try:
            return self._session.request(parts.method, parts.url, **parts.arguments()), None
        except requests.HTTPError as error:
            if error.response is None:
                raise
            return error.response, self._safe(error)
        except requests.RequestException as error:
            raise self._safe(error) from None

    def _value(self, response: requests.Response, failure: Exception | None, layout: str) -> Any:
        """The JSON value of an answer. That of an error is for the rules alone: None when it has none."""
        if failure is None:
            return value_of(response, layout)
        try:
            return response.json()
        except (requests.RequestException, ValueError, RuntimeError, OSError, Exception):  # noqa: BLE001
            return None

    def _checked(self, answer: Answer, response: requests.Response, parts: Parts) -> Answer:
        if response.status_code >= requests.codes.bad_request:  # where `http.raise_for_status` is false
            raise answer.refused("the API refuses the request")
        is_graphql = isinstance(parts.json, dict) and "query" in parts.json and isinstance(answer.value, dict)
        if is_graphql and answer.value.get("errors"):
            raise answer.refused("the answer holds `errors`, so its data may lack something")
        return answer

    def _safe(self, error: Any) -> Any:
        """The error without the token that is part of its URL."""
        if self._secret and error.args and self._secret in str(error.args[0]):
            error.args = (SafeText(str(error.args[0]).replace(self._secret, MASK)),)
        return error

    def _shown(self, url: str) -> str:
        text = shown_url(url)
        return text.replace(self._secret, MASK) if self._secret else text


def _fits(rule: "ErrorRule", status: int, value: Any) -> bool:
    if rule.status is not None and status not in rule.status:
        return False
    return rule.when is None or (value is not None and holds(rule.when, value))
