"""The marks of the pages in the buffer, as far as their checkpoint needs them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.engine.pipeline.models import PageMark


class Marks:
    """The marks of one batch. A checkpoint needs the last pagination of each chain and the last state of the batch, and
    only these are kept; with ``keeps_all``, the paginations and states of all pages."""

    def __init__(self) -> None:
        self._marks: list[PageMark] = []
        self._last_of: dict[int | None, int] = {}

    def add(self, mark: "PageMark", *, keeps_all: bool) -> None:
        """The next page."""
        chain = None if mark.origin is None else mark.origin.partition
        before = self._last_of.get(chain)
        if before is not None and not keeps_all:
            last = self._marks[before]
            self._marks[before] = last._replace(pagination={}, next_state=None)
            if mark.next_state is None:
                mark = mark._replace(next_state=last.next_state)
        self._last_of[chain] = len(self._marks)
        self._marks.append(mark)

    def take(self) -> "tuple[PageMark, ...]":
        """All marks, which are forgotten."""
        marks, self._marks, self._last_of = tuple(self._marks), [], {}
        return marks
