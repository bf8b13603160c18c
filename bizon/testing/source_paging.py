"""Behaviours of paging: it ends, it can be resumed anywhere, and each record has one identity."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from bizon.testing.source_subject import NotApplicable, Page, Subject, broken, ids_of, listed, shown

if TYPE_CHECKING:
    from bizon.source.source import AbstractSource

_LARGEST_PAGINATION = 10_000  # bytes of JSON


class PagingBehaviours:
    """Part of ``SourceBehaviours``."""

    def test_paging_ends(self, subject: Subject) -> None:
        if subject.is_whole:
            return
        if subject.config.max_iterations is not None:
            raise NotApplicable(f"source.max_iterations stops the reading after {subject.most_pages} pages")
        broken(
            f"the stream has not ended after {subject.most_pages} pages",
            "return next_pagination={} with the last page; for a long stream set source.max_iterations",
        )

    def test_no_page_repeats(self, subject: Subject) -> None:
        seen: dict[tuple[str, ...], int] = {}
        for number, page in enumerate(subject.pages):
            if page.ids and page.ids in seen:
                broken(
                    f"page {number} has the same records as page {seen[page.ids]}",
                    "next_pagination must lead to the page after this one",
                )
            seen[page.ids] = number

    def test_ids_are_unique(self, subject: Subject) -> None:
        counts = Counter(subject.ids())
        repeated = [each for each, count in counts.items() if count > 1]
        if repeated:
            broken(f"the ids {listed(repeated)} occur more than once", "use the API's own id of a record")

    def test_ids_are_stable_over_two_reads(self, subject: Subject) -> None:
        with subject.opened() as source:
            again = set(ids_of(subject.read(source)))
        missing, extra = set(subject.ids()) - again, again - set(subject.ids())
        if missing or extra:
            broken(
                f"a second read finds {listed(extra) or 'nothing new'} and misses {listed(missing) or 'nothing'}",
                "a record keeps its id, and an unchanged stream its records",
            )

    def test_resuming_at_every_page_gives_the_same_records(self, subject: Subject) -> None:
        for number, page in enumerate(subject.pages[1:], start=1):
            pagination = json.loads(json.dumps(page.asked))
            with subject.opened() as source:
                found = subject.page(source, pagination)
                is_same = found.ids == page.ids and bool(found.next_pagination) == bool(page.next_pagination)
                if is_same and number > 1:
                    continue
                rest = _with_all_after(subject, source, found)
            expected = ids_of(subject.pages[number:])
            if (sorted(rest) != sorted(expected)) if subject.is_whole else not is_same:
                broken(
                    f"a new instance that resumes at page {number} with {shown(pagination)} reads {len(rest)} records, "
                    f"and {len(expected)} are left; its first page has {shown(found.ids)} instead of {shown(page.ids)}",
                    "everything that finds a page must be in its pagination, and the order must not change",
                )

    def test_none_and_an_empty_pagination_are_the_same_page(self, subject: Subject) -> None:
        first = subject.pages[0].ids
        asked: tuple[dict[str, Any] | None, ...] = (None, {})
        for pagination in asked:
            with subject.opened() as source:
                page = subject.page(source, pagination)
                if page.ids == first:
                    continue
                rest = _with_all_after(subject, source, page)
            if sorted(rest) != sorted(subject.ids()):
                broken(
                    f"get({pagination}) returns {shown(page.ids)}, and the first page is {shown(first)}",
                    "`if pagination` covers both None and {}",
                )

    def test_pagination_is_json_and_small(self, subject: Subject) -> None:
        for number, pagination in enumerate(page.as_returned for page in subject.pages):
            try:
                text = json.dumps(pagination)
            except (TypeError, ValueError) as error:
                broken(f"next_pagination of page {number} is not JSON: {error}", "use text, numbers, lists and dicts")
            if json.loads(text) != pagination:
                broken(
                    f"next_pagination of page {number} changes when a checkpoint stores it: {shown(pagination)}",
                    "use lists instead of tuples, and text as keys",
                )
            if len(text) > _LARGEST_PAGINATION:
                broken(
                    f"next_pagination of page {number} has {len(text):,} bytes of JSON",
                    f"keep where to continue, not what is left; at most {_LARGEST_PAGINATION:,} bytes",
                )


def _with_all_after(subject: Subject, source: "AbstractSource", page: Page) -> list[str]:
    """The ids of a page and of all pages after it. A source may mix its records differently in each run, as a broker
    does with partitions, as long as each comes once."""
    later = subject.read(source, page.next_pagination) if page.next_pagination else []
    return [*page.ids, *ids_of(later)]
