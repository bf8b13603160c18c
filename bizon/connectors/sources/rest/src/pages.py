"""The styles of paging. Each says how a request names a page, and where the next one is."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from requests.utils import parse_header_links

from bizon.common.secret import Secret
from bizon.connectors.sources.rest.src import pages_config as config
from bizon.connectors.sources.rest.src.request import Parts, followed
from bizon.connectors.sources.rest.src.selector import holds, selected

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.client import Answer

Token = Any
"""What names a page: a JSON text or number, or None for the first page of a list."""


class PageStyle(ABC):
    """Knows one style, and keeps nothing. Called on the threads that fetch."""

    counts: ClassVar[bool] = False
    """Whether the place of a page follows from its number, so that pages may be asked for ahead of time."""

    @abstractmethod
    def place(self, parts: Parts, token: Token) -> None:
        """Put into a request what names the page."""

    @abstractmethod
    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        """The token of the page after this one; None after the last. Raises SourceFetchError for an answer that
        contradicts itself."""

    def ahead(self, token: Token) -> Token:
        """The token of the next page as far as it is known without the answer to this one; None when it is not."""
        return None


class Whole(PageStyle):
    """No pages."""

    def place(self, parts: Parts, token: Token) -> None:
        return None

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        return None


class _Sized(PageStyle):
    """The parameter with the size of a page, and the sign that there are more."""

    def __init__(self, keys: Any) -> None:
        self._keys = keys

    def place(self, parts: Parts, token: Token) -> None:
        keys = self._keys
        if keys.size_param is not None:
            parts.put("json" if keys.where == "json" else "params", keys.size_param, keys.size)
        token = self._first if token is None else token
        if token is not None:
            parts.put(keys.where, keys.param, token)

    @property
    def _first(self) -> Token:
        """What names the first page, if it has to be named."""
        return None

    def _ends(self, answer: "Answer", records: list[dict[str, Any]]) -> bool:
        """Whether this is the last page: as ``more`` says, else when it is empty. A short page never is by itself."""
        if self._keys.more is None:
            return not records
        return not holds(self._keys.more, answer.value)


class Cursor(_Sized):
    """``cursor``."""

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        found = selected(self._keys.next, answer.value)
        is_over = self._keys.more is not None and not holds(self._keys.more, answer.value)
        if is_over or found is None or found in ("", False):
            if self._keys.more is not None and not is_over:
                raise answer.refused("there are more pages, as `pages.more` says, and `pages.next` finds no cursor")
            return None
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise answer.refused("`pages.next` finds no text or number")
        return found


class Numbered(_Sized):
    """``page``."""

    counts = True

    @property
    def _first(self) -> Token:
        return self._keys.start

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        return None if self._ends(answer, records) else self.ahead(token)

    def ahead(self, token: Token) -> Token:
        return (self._first if token is None else token) + 1


class Offset(_Sized):
    """``offset``."""

    counts = True

    @property
    def _first(self) -> Token:
        return self._keys.start

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        if self._ends(answer, records):
            return None
        if not records:
            raise answer.refused("there are more pages, as `pages.more` says, and this one is empty")
        return (self._first if token is None else token) + len(records)

    def ahead(self, token: Token) -> Token:
        return None if self._keys.size is None else (self._first if token is None else token) + self._keys.size


class Keyset(_Sized):
    """``keyset``."""

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        if self._ends(answer, records):
            return None
        found = selected(self._keys.key, records[-1]) if records else None
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise answer.refused("`pages.key` finds no text or number in the last record")
        return found


class _Linked(PageStyle):
    """The token is a URL, which replaces the one of the request and has all of its parameters, except for secret ones."""

    def place(self, parts: Parts, token: Token) -> None:
        if token is not None:
            parts.url = token
            parts.params = {name: value for name, value in parts.params.items() if isinstance(value, Secret)}

    def _link(self, answer: "Answer", link: str | None) -> Token:
        return None if not link else answer.checked_link(followed(link, answer.url))


class NextUrl(_Linked):
    """``next_url``."""

    def __init__(self, keys: config.NextUrlPages) -> None:
        self._keys = keys

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        found = selected(self._keys.next, answer.value)
        if found is not None and not isinstance(found, str):
            raise answer.refused("`pages.next` finds no text")
        return self._link(answer, found)


class LinkHeader(_Linked):
    """``link_header``."""

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        links = parse_header_links(answer.headers.get("Link") or "")
        return self._link(answer, next((each["url"] for each in links if each.get("rel") == "next"), None))


def style_of(pages: config.PagesConfig) -> PageStyle:
    """The style that the configuration names."""
    match pages:
        case config.CursorPages():
            return Cursor(pages)
        case config.NextUrlPages():
            return NextUrl(pages)
        case config.LinkHeaderPages():
            return LinkHeader()
        case config.NumberPages():
            return Numbered(pages)
        case config.OffsetPages():
            return Offset(pages)
        case config.KeysetPages():
            return Keyset(pages)
    return Whole()
