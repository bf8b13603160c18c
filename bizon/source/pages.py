"""Answers that are pages. An answer of status 200 may be something else: an error, a limit, an object without its list.
Read as a page it would be an empty one, and a full refresh would replace good data with nothing."""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, Self

import requests

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import Attempt, is_in_time
from bizon.source.answers import message_in, shown
from bizon.source.body import shown_url

_MOST_KEYS = 10  # named in an error

Limited = Callable[["Page"], float | None]
"""Seconds to wait when an answer is a limit or a temporary error, 0 when it names none; None when it is a page."""


class Page(dict[str, Any]):
    """The JSON object of an answer, and where it came from. Made by ``Session.page``.

    An answer that is a list has no keys; ``list_at()`` returns it. ``response``: the whole answer, for its headers.
    """

    def __init__(self, answer: dict[str, Any] | list[Any], response: requests.Response) -> None:
        super().__init__(answer if isinstance(answer, dict) else {})
        self._answer = answer
        self.response = response

    @classmethod
    def from_response(cls, response: requests.Response) -> Self:
        """The page in an answer. Raises SourceFetchError when its JSON is neither an object nor a list, and the
        JSONDecodeError of requests when it is not JSON."""
        answer = response.json()
        if isinstance(answer, dict | list):
            return cls(answer, response)
        raise cls({}, response).refused(f"the answer is {_kind(answer)}, not an object or a list")

    def list_at(self, *path: str) -> list[dict[str, Any]]:
        """The list of objects below these keys; without keys, the answer itself.

        Raises SourceFetchError, with the message of the API if there is one, when there is no list or an item is not an
        object. When the API documents that an empty list is left out, say so: ``page.get("items", [])``.
        """
        found: Any = self._answer
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        name = f"at '{'.'.join(path)}'" if path else "in the answer"
        if not isinstance(found, list):
            raise self.refused(f"expected a list {name}, found {_kind(found)}")
        wrong = next((item for item in found if not isinstance(item, dict)), self)
        if wrong is not self:
            raise self.refused(f"the list {name} holds {_kind(wrong)}, not only objects")
        return found

    def refused(self, why: str) -> SourceFetchError:
        """The error to raise when this answer is not a page: method, path and status, ``why``, and the message of the
        API, or the keys of the answer when there is none. Without credentials and query."""
        request = self.response.request
        message = shown(message_in(self._answer), request)
        keys = shown(", ".join(sorted(self)[:_MOST_KEYS]), request)
        content = f"the API says: {message}" if message else f"it has the keys {keys}" if keys else "it has no keys"
        place = f"{request.method} {shown_url(self.response.url)}: HTTP {self.response.status_code}"
        return SourceFetchError(f"{place}: {why}; {content}")


def page_once_served(
    send: Callable[[], requests.Response], limited: Limited, attempts: Iterator[Attempt], longest: float | None
) -> Page:
    """Send until the answer is a page. Called by ``Session.page``; ``attempts`` bounds it, and its waits end with the
    run. ``longest``: seconds, the longest wait that the API may ask for; None = no limit."""
    for attempt in attempts:
        page = Page.from_response(send())
        asked_for = limited(page)
        if asked_for is None:
            return page
        wait = min(max(0.0, asked_for) or attempt.wait, inf if longest is None else longest)
        if attempt.is_last or not is_in_time(wait):
            break
        request = page.response.request
        logger.warning(f"{request.method} {shown_url(request.url)}: the API asks to wait; retrying in {wait:.3g} s")
        attempt.wait = wait
    raise page.refused(f"the API still asks to wait after {attempt.number} attempts")


def _kind(value: Any) -> str:
    """The kind of a JSON value, for an error that must not show the value."""
    if value is None:
        return "null or no such key"
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")
