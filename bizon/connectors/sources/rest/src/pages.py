"""The interface of a style of paging: how a request names a page, and where the next one is."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.request import Parts

Token = Any
"""Names a page: a JSON text or number, or None for the first page of a list."""


class PageStyle(ABC):
    """Knows one style, and keeps nothing. Called on the threads that fetch."""

    counts: ClassVar[bool] = False
    """Whether the place of a page follows from its number, so that pages may be asked for ahead of time."""

    @abstractmethod
    def place(self, parts: "Parts", token: Token) -> None:
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

    def place(self, parts: "Parts", token: Token) -> None:
        return None

    def following(self, token: Token, answer: "Answer", records: list[dict[str, Any]]) -> Token:
        return None
