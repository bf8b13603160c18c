"""Paging by parameters: a cursor, a number, an offset, or the last record."""

from typing import TYPE_CHECKING, Any

from bizon.connectors.sources.rest.src.pages import PageStyle, Token
from bizon.connectors.sources.rest.src.selector import holds, selected

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.request import Parts


class _Sized(PageStyle):
    """The parameter with the size of a page, and the sign that there are more."""

    def __init__(self, keys: Any) -> None:
        self._keys = keys

    def place(self, parts: "Parts", token: Token) -> None:
        keys = self._keys
        if keys.size_param is not None:
            parts.put("json" if keys.where == "json" else "params", keys.size_param, keys.size)
        token = self._first if token is None else token
        if token is not None:
            parts.put(keys.where, keys.param, token)
        elif keys.where == "path":
            parts.put("path", keys.param, "")

    @property
    def _first(self) -> Token:
        """The token of the first page, if it has to be named."""
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
