"""How far a list has been read. Guards against pages that never end, and against lists that are cut off."""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import xxhash

from bizon.rows.frames import encode_data

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer

_MOST_EMPTY = 1000  # pages in a row
_COMPARED = 64  # records of a page, at most
_ENDLESS = "it would never end; does `pages` describe the paging of the API?"


class Progress(NamedTuple):
    """The pages of a list so far: records, pages, empty pages in a row; the newest page's digest and the list's total,
    as far as known. ``mark``, a token, and ``shown``, a digest, are what later ones are compared with; they are set
    again after 1, 2, 4, 8... pages, so that a circle of any length is found."""

    seen: int = 0
    number: int = 0
    empty: int = 0
    digest: str | None = None
    total: int | None = None
    mark: Any = None
    shown: str | None = None

    @classmethod
    def from_json(cls, value: list[Any] | None) -> Self:
        """The progress that a pagination holds; None at the beginning of a list."""
        return cls(*value or ())

    def after(self, answer: "Answer", items: list[Any], token: Any, following: Any, total: int | None) -> "Progress":
        """The progress with one more page. ``token``: what the page was asked for with. Raises SourceFetchError for a
        page that came before, by its token or by its records."""
        digest = _digest(items)
        if following is not None and following in (token, self.mark):
            raise answer.refused(f"the page names one that came before as the next page; {_ENDLESS}")
        if digest is not None and digest in (self.digest, self.shown):
            which = "the page before" if digest == self.digest else "an earlier page"
            raise answer.refused(f"the page has the same records as {which}; {_ENDLESS}")
        empty = 0 if items else self.empty + 1
        if empty > _MOST_EMPTY:
            raise answer.refused(f"{_MOST_EMPTY} empty pages came in a row, and `pages.more` says that there are more")
        number = self.number + 1
        mark, shown = (self.mark, self.shown) if number & (number - 1) else (following, digest)
        seen, known = self.seen + len(items), self.total if total is None else total
        return Progress(seen, number, empty, digest, known, mark, shown)

    def difference(self, answer: "Answer", cap: int | None) -> str | None:
        """The difference between a list that has ended and what the API said about it, if any. Raises SourceFetchError
        when the list may have been cut off."""
        if cap is not None and self.total is None and self.seen >= cap:
            raise answer.refused(
                f"the list ended after {self.seen} records, and the API gives out {cap} of a list, `pages.cap`: there "
                "may be more; give `pages.total`, so that a window can be split, or a shorter `incremental.window`"
            )
        if self.total in (None, self.seen):
            return None
        return f"the list has {self.total} records by `pages.total`, and {self.seen} came"


def _digest(items: list[Any]) -> str | None:
    """Identifies the records of a page by their number and by some of them, spread over the page: encoding all of a
    large page costs a quarter of what decoding it does. None for an empty page."""
    if not items:
        return None
    some = items[:: -(-len(items) // _COMPARED)]
    return xxhash.xxh3_128_hexdigest(encode_data([len(items), some, items[-1]]))
