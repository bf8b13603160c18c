"""Paging by links: the answer holds the URL of the next page."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from requests.utils import parse_header_links

from bizon.common.secret import Secret
from bizon.connectors.sources.rest.src.pages import PageStyle, Token
from bizon.connectors.sources.rest.src.selector import selected

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.request import Parts


class _Linked(PageStyle):
    """The token is a URL, which replaces the request's URL, and has all of its parameters but the secret ones."""

    def place(self, parts: "Parts", token: Token) -> None:
        if token is not None:
            parts.url = token
            parts.params = {name: value for name, value in parts.params.items() if isinstance(value, Secret)}

    def _link(self, answer: "Answer", link: str | None) -> Token:
        return None if not link else answer.checked_link(urljoin(answer.url, link))


class NextUrl(_Linked):
    """``next_url``."""

    def __init__(self, selector: str) -> None:
        self._selector = selector

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        found = selected(self._selector, answer.value)
        if found is not None and not isinstance(found, str):
            raise answer.refused("`pages.next` finds no text")
        return self._link(answer, found)


class LinkHeader(_Linked):
    """``link_header``."""

    def __init__(self, header: str) -> None:
        self._header = header

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        if self._header.lower() != "link":
            return self._link(answer, answer.headers.get(self._header))
        links = parse_header_links(answer.headers.get("Link") or "")
        following = [each["url"] for each in links if "next" in each.get("rel", "").lower().split()]
        return self._link(answer, following[0] if following else None)
