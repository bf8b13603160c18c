"""An answer that is a page: its list, its total, and its link to the next page."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from bizon.common.secret import MASK, registry
from bizon.common.secret_forms import forms_of
from bizon.connectors.sources.rest.src.request import is_same_host
from bizon.connectors.sources.rest.src.selector import selected
from bizon.connectors.sources.rest.src.xml import XmlDocument, as_list
from bizon.source.pages import Page

if TYPE_CHECKING:
    import requests

    from bizon.common.errors.errors import SourceFetchError

_NO_CONTENT = 204
_forms_of = lru_cache(maxsize=1)(forms_of)  # links come once per page, and tokens once per hour


class Api(NamedTuple):
    """The API that is asked. ``hidden``: names of query parameters that are credentials. ``token``: one that is part of
    URLs; ``MASK`` stands for it in every URL, except when a request is sent."""

    base_url: str
    hidden: frozenset[str] = frozenset()
    token: str | None = None

    def masked(self, text: str) -> str:
        """A text without the token, as it is or percent-encoded."""
        forms = {self.token, quote(self.token), quote(self.token, safe="")} if self.token else ()
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, MASK)
        return text

    def unmasked(self, url: str) -> str:
        """The URL to ask."""
        return url.replace(MASK, quote(self.token, safe="")) if self.token else url


class Answer:
    """``value``: its JSON value; None for an answer without a body."""

    def __init__(self, value: Any, response: "requests.Response", api: Api) -> None:
        self.value = value
        self.url = response.url
        self.headers = response.headers
        self._is_empty = response.status_code == _NO_CONTENT
        self._page = Page(value if isinstance(value, dict | list) else {}, response)
        self._api = api

    def refused(self, why: str) -> "SourceFetchError":
        """The error for an answer that is not what it should be. Without credentials and query."""
        return self._page.refused(why)

    def items(self, selector: str) -> list[dict[str, Any]]:
        """The objects of the list at ``selector``. Raises SourceFetchError when there is no list of objects."""
        if self._is_empty:
            return []
        found = selected(selector, self.value)
        if isinstance(self.value, XmlDocument):
            above = selector.rpartition(".")[0]
            found = as_list(found, selected(above, self.value) if above else None)
        if not isinstance(found, list):
            raise self.refused(f"there is no list at '{selector}', the key `records`")
        if not all(isinstance(item, dict) for item in found):
            raise self.refused(f"the list at '{selector}', the key `records`, holds more than objects")
        return found

    def total(self, selector: str | None) -> int | None:
        """The number at ``selector``; None when there is none. Raises SourceFetchError for another value."""
        found = None if selector is None else selected(selector, self.value)
        if isinstance(found, str) and found.isdecimal():
            found = int(found)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
            raise self.refused(f"`pages.total` finds no integer at '{selector}'")
        return found

    def checked_link(self, url: str) -> str:
        """A link to another page, as checkpoints keep it: without credentials in its query, which each request gets
        again, and without parameters that repeat a token in any encoding. Raises SourceFetchError when it leads to
        another host, which would get the credentials."""
        url = self._api.masked(url)
        parts = urlsplit(url)
        if not is_same_host(url, self._api.base_url):
            raise self.refused(f"the link to the next page leads to another host, {parts.hostname}")
        given = parse_qsl(parts.query, keep_blank_values=True)
        tokens = _forms_of(registry.learned())
        shown = [(name, value) for name, value in given if name not in self._api.hidden]
        kept = [(name, value) for name, value in shown if not any(form in value for form in tokens)]
        return url if len(kept) == len(given) else urlunsplit(parts._replace(query=urlencode(kept)))
