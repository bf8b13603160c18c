"""The partitions of a job, and how far each of them is committed; the parts of a joined job, which several commands
share, and the seats of a stream.

The consumer takes the pages of all partitions in the order of their arrival and numbers them. These numbers are the
pages of the job: its batches, its cursors and its destination know no others. The pagination of a cursor says, instead
of the place of one chain, where each partition continues:

    {"bizon_partitions": {"left": 3, "done": [0, 2], "at": {"1": [17, {"after": 4711}]}}}

Partition 1 has 17 pages committed, 0 to 16, and its next page is fetched with ``{"after": 4711}``; partitions 0 and 2
are exhausted, and the others have not begun. ``{}`` means that no partition is left, as it does for a single chain.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bizon.common.errors.errors import BackendError, QueueError

if TYPE_CHECKING:
    from bizon.engine.backend.models import LeaseHolder

PARTITIONS = "bizon_partitions"
"""The key of a pagination that holds the places of partitions."""


class Partition(NamedTuple):
    """One part of a stream. ``number``: its place in the plan, from 0. ``plan``: any JSON object, from the source."""

    number: int
    plan: dict[str, Any]


class PageOrigin(NamedTuple):
    """The partition that a page belongs to, and the number of the page in it, from 0."""

    partition: int
    iteration: int

    def __str__(self) -> str:
        """The page in the ``bizon_id`` of its rows, which is the same whenever the page is fetched again."""
        return f"{self.partition}-{self.iteration}"


class Position(NamedTuple):
    """``pages``: how many are committed. ``pagination`` fetches the next one; ``{}`` before the first page, and when
    the partition is exhausted."""

    pages: int
    pagination: Mapping[str, Any]

    @property
    def is_exhausted(self) -> bool:
        """Whether the last page is committed."""
        return self.pages > 0 and not self.pagination


class Positions(NamedTuple):
    """Where each partition of a job continues. ``at``: those that have begun; ``done``: those that are exhausted."""

    partitions: Sequence[Partition]
    at: Mapping[int, Position]
    done: frozenset[int]

    @classmethod
    def of_checkpoint(cls, partitions: Sequence[Partition], pagination: Mapping[str, Any]) -> Self:
        """``pagination``: of the last cursor, ``{}`` without one. Raises BackendError when it is not about these
        partitions."""
        known = {each.number for each in partitions}
        try:
            noted: Any = pagination[PARTITIONS] if pagination else {"at": {}, "done": [], "left": len(known)}
            at = {int(number): Position(pages, dict(following)) for number, (pages, following) in noted["at"].items()}
            done = frozenset(noted["done"])
            fits = known >= {*at, *done} and not at.keys() & done and noted["left"] == len(known) - len(done)
        except (KeyError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise BackendError(
                f"the last checkpoint does not belong to the {len(partitions)} partitions that the state has for this "
                "job: was the state edited? Run with --fresh to fetch everything again"
            )
        return cls(partitions, at, done)

    def position_of(self, number: int) -> Position:
        """The place of a partition that is not exhausted."""
        return self.at.get(number, Position(0, {}))

    @property
    def left(self) -> list[Partition]:
        """The partitions that are not exhausted, those first that have begun."""
        left = [each for each in self.partitions if each.number not in self.done]
        return sorted(left, key=lambda each: each.number not in self.at)

    def advanced(self, pages: Iterable[tuple[PageOrigin, Mapping[str, Any]]]) -> Self:
        """The places after some pages, each with the pagination of the next one; of a partition the last one counts.

        Raises QueueError, and nothing may be recorded, unless the pages follow the committed ones of their partition
        without a gap and without a repeat.
        """
        at = dict(self.at)
        for (partition, iteration), pagination in pages:
            before = at.get(partition, Position(0, {}))
            if partition in self.done or iteration != before.pages:
                raise QueueError(
                    f"page {before.pages} of partition {partition} is missing, the queue delivered {iteration}; run "
                    "again to resume"
                )
            at[partition] = Position(before.pages + 1, pagination)
        exhausted = {number for number, position in at.items() if position.is_exhausted}
        at = {number: position for number, position in at.items() if number not in exhausted}
        return self._replace(at=at, done=self.done | exhausted if exhausted else self.done)

    def as_pagination(self) -> dict[str, Any]:
        """The pagination of a cursor; ``{}`` when no partition is left."""
        left = len(self.partitions) - len(self.done)
        if not left:
            return {}
        at = {str(number): [*position] for number, position in self.at.items()}
        return {PARTITIONS: {"left": left, "done": sorted(self.done), "at": at}}


def paginations_in(pagination: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The paginations that a source has given: of one chain, or of the partitions that have begun. None in places that
    nobody can read, which ``Positions.of_checkpoint`` refuses."""
    if PARTITIONS not in pagination:
        return [pagination]
    try:
        return [dict(following) for _, following in pagination[PARTITIONS]["at"].values()]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


class TakenPart(NamedTuple):
    """A part of a joined job that a worker holds. ``plan``: as the source has planned it. ``epoch``: the number of this
    start of the part. ``claim``: the name of the lease."""

    number: int
    plan: dict[str, Any]
    epoch: int
    claim: str


class PartState(NamedTuple):
    """A part of a joined job in the state. ``holder``: its worker, None for a part that waits or is done;
    ``idle``: seconds since its last heartbeat; ``expires_in``: negative once its lease has expired."""

    number: int
    done: bool
    holder: "LeaseHolder | None" = None
    idle: float = 0.0
    expires_in: float = 0.0


Divide = Callable[[Mapping[str, Any]], Mapping[str, dict[str, Any]]]
"""Divides the pagination of a member into the paginations of its places, by name: ``AbstractSource.places_of``."""


class Seat(NamedTuple):
    """A seat that a member of a stream holds. ``epoch``: the number of this start of it. ``claim``: the name of the
    lease; empty for a start that only settles the seat."""

    number: int
    epoch: int
    claim: str = ""


class SeatState(NamedTuple):
    """A seat in the state. ``places``: those that belong to it, with True for those that its member may still read.
    ``note``: how its member is doing, as it said last."""

    part: PartState
    places: Mapping[str, bool]
    note: dict[str, Any] | None = None

    @property
    def may_have_rows(self) -> bool:
        """Whether rows without a checkpoint may be left: nobody has settled the seat since a member held it."""
        return self.part.holder is not None or any(self.places.values())


class ClaimedPlaces(NamedTuple):
    """``held_by``: the other seats that hold some of the places, which then stay where they are. Otherwise the places
    belong to the seat that asked, and ``paginations`` are those that are known."""

    held_by: tuple[int, ...] = ()
    paginations: Mapping[str, dict[str, Any]] = {}
