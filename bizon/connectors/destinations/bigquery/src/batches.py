"""Which batches of a job count, of all that its starts have left behind."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class PageRange(Protocol):
    """Rows of consecutive pages."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


B = TypeVar("B", bound=PageRange)


def each_page_once(batches: Iterable[B]) -> list[B]:
    """Those that hold the pages of a job, each page once. ``batches``: by their first page, and of those that begin at
    the same page the one that counts before the others."""
    chosen: list[B] = []
    for batch in batches:
        if not chosen or batch.first > chosen[-1].last:
            chosen.append(batch)
    return chosen
