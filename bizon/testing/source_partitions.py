"""Behaviours of partitions: together they are the stream, and each of them is a chain of pages of its own. And of the
places that the members of a stream share."""

import json
from collections import Counter
from typing import Any

from bizon.testing.source_subject import Page, Subject, broken, ids_of, listed, shown


class PartitionBehaviours:
    """Part of ``SourceBehaviours``. A stream that its source plans in no partitions has them all."""

    def test_partitions_together_are_the_stream(self, subject: Subject) -> None:
        found = [ids_of(pages) for _, pages in _partitions(subject)]
        if not found:
            return
        subject.needs_the_end()
        counts, wanted = Counter(each for ids in found for each in ids), Counter(subject.ids())
        if missing := wanted - counts:
            broken(f"no partition has the records {listed([*missing])}", "leave no gap between two partitions")
        if extra := counts - wanted:
            broken(
                f"partitions have the records {listed([*extra])} too often, or the stream lacks them",
                "let each record belong to one partition: include one end of a range, and exclude the other",
            )

    def test_a_partition_is_json(self, subject: Subject) -> None:
        with subject.opened() as source:
            for plan in source.get_partitions():
                try:
                    is_same = isinstance(plan, dict) and json.loads(json.dumps(plan)) == plan
                except (TypeError, ValueError):
                    is_same = False
                if not is_same:
                    broken(f"the partition {shown(plan)} changes when the state keeps it", "use JSON objects")

    def test_a_partition_resumes_at_every_page(self, subject: Subject) -> None:
        for plan, pages in _partitions(subject):
            for number, page in enumerate(pages[1:], start=1):
                with subject.opened(partition=plan) as source:
                    again = subject.page(source, json.loads(json.dumps(page.asked)))
                if (again.ids, again.next_pagination) != (page.ids, page.next_pagination):
                    broken(
                        f"a new instance for the partition {shown(plan)} that resumes at its page {number} reads "
                        f"{shown(again.ids)} instead of {shown(page.ids)}",
                        "self.partition and the pagination together must find the page",
                    )

    def test_partitions_do_not_differ_in_the_state_for_the_next_run(self, subject: Subject) -> None:
        states: list[Any] = []
        for _, pages in _partitions(subject):
            states += [page.next_state for page in pages if page.next_state is not None]
        if any(each != states[0] for each in states):
            broken(
                f"pages of partitions have the states {shown(states)}, and the last one would count",
                "return next_state in one partition only, or the same in all: put what it depends on into the plan",
            )

    def test_the_places_of_members_are_their_pagination(self, subject: Subject) -> None:
        with subject.opened() as source:
            kind = type(source)
        for page in subject.pages if kind.takes_members else ():
            places = kind.places_of(page.next_pagination)
            again = json.loads(json.dumps(kind.pagination_of(places)))
            if again != page.next_pagination:
                broken(
                    f"pagination_of(places_of({shown(page.next_pagination)})) is {shown(again)}",
                    "places_of loses nothing, and pagination_of puts together what it has divided",
                )
            if any(kind.places_of(place) != {name: place} for name, place in places.items()):
                broken(
                    f"a place of {shown(page.next_pagination)} is not the pagination of this place alone",
                    "places_of returns a pagination for each place, which has that place only",
                )


def _partitions(subject: Subject) -> list[tuple[dict[str, Any], list[Page]]]:
    """Each partition with its pages; none for a stream that is planned in none."""
    with subject.opened() as source:
        found = source.get_partitions()
    read = []
    for plan in json.loads(json.dumps(found)):
        with subject.opened(partition=plan) as source:
            read.append((plan, subject.read(source)))
    return read
