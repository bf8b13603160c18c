"""Whether a stream goes on after the page that a source takes for its last.

The suite looks where another page would be: at the place that the last answer offers, in the field from which earlier
places came, and at the number after the last one. It then asks the source itself. Records that the whole read lacks
are proof; an error, an empty page or known records prove nothing.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from requests.utils import parse_header_links

from bizon.testing.source_faults import detour_of
from bizon.testing.source_probe import Spot, attempt, spots
from bizon.testing.source_subject import NotApplicable, Subject, broken, listed, shown

_MOST_PLACES = 5  # that are asked for

_Path = tuple[str | int, ...]
_Place = dict[str, Any]


class LastPageBehaviours:
    """Part of ``SourceBehaviours``."""

    def test_nothing_follows_the_last_page(self, subject: Subject) -> None:
        subject.needs_the_end()
        if len(subject.pages) == 1:
            raise NotApplicable("the stream has one page: nothing tells where another one would be")
        if not _scalars(subject.pages[-1].asked):
            raise NotApplicable("the pagination holds no text or number that could lead to another page")
        known = set(subject.ids())
        for place in islice(_places_after(subject), _MOST_PLACES):
            more = set(_ids_at(subject, place)) - known
            if more:
                broken(
                    f"the stream ends with page {len(subject.pages) - 1}, and get({shown(place)}) returns "
                    f"{listed(more)}, which the stream lacks",
                    "return next_pagination={} only when the API has no more pages",
                )


def _ids_at(subject: Subject, place: _Place) -> tuple[str, ...]:
    """The ids of the page at a place; none when there is an error."""
    with subject.opened() as source, detour_of(source.session):
        page, _ = attempt(subject, source, place)
    return () if page is None else page.ids


def _places_after(subject: Subject) -> Iterator[_Place]:
    last = subject.pages[-1].asked
    if subject.source_class.fetches_over_http:
        yield from _offered_places(subject, last)
    numbers = {key: value for key, value in _scalars(last).items() if isinstance(value, int)}
    if len(numbers) == 1:
        ((key, value),) = numbers.items()
        before = subject.pages[-2].asked.get(key, 0)
        steps = {1, value - before if isinstance(before, int) else 1}
        yield from ({**last, key: value + step} for step in sorted(steps))


def _offered_places(subject: Subject, last: _Place) -> Iterator[_Place]:
    """The places in the last answer, at the paths at which the first answer had the place of the second page."""
    following = subject.pages[0].next_pagination
    first, final = spots(subject, subject.pages[:1]), spots(subject, subject.pages[-1:])
    for key, value in _scalars(following).items():
        paths = dict.fromkeys(path for spot in first for path, each in _leaves(spot) if str(each) == str(value))
        for found in (each for spot in final for path, each in _leaves(spot) if path in paths):
            if found and str(found) != str(last.get(key)):
                yield {**last, key: type(value)(found)}


def _scalars(place: _Place) -> _Place:
    return {key: value for key, value in place.items() if type(value) in (str, int)}


def _leaves(spot: Spot) -> Iterator[tuple[_Path, str | int]]:
    """The texts and numbers of an answer and their paths: of its body, its headers, and its links."""
    with suppress(ValueError):  # not JSON
        yield from _below(spot.json, ("body",))
    for name, value in spot.real.headers:
        yield ("header", name.lower()), value
        if name.lower() == "link":
            yield from ((("link", each.get("rel", "")), each["url"]) for each in parse_header_links(value))


def _below(value: Any, path: _Path) -> Iterator[tuple[_Path, str | int]]:
    """The texts and numbers below a value. A list counts by its last item, whose id may be where the next page is."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _below(item, (*path, key))
    elif isinstance(value, list):
        yield from _below(value[-1], (*path, -1)) if value else ()
    elif type(value) in (str, int):
        yield path, value
