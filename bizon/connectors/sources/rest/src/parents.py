"""Children of parents: the lists of an endpoint, one per record of another endpoint, which may be a child itself.

Parents are read page by page. The place of a page of children is (parent, window, page): it holds the parents that
wait, with what their children need of them, so that a run that resumes asks for its page and for nothing before it.
"""

from typing import TYPE_CHECKING, Any, Protocol

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.rest.src.lists import NOBODY, NOTHING, Lists, Parent, Place, Step
from bizon.connectors.sources.rest.src.selector import selected
from bizon.rows.frames import encode_data
from bizon.rows.kept_json import loads_kept

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.endpoint_config import ParentConfig
    from bizon.connectors.sources.rest.src.windows import Bounds
    from bizon.source.models import SourceRecord

_MOST_WAITING = 50  # parents in a place; a page with more is asked for again when these are done, after a restart only
_MOST_PARTS = 1_000


class Reader(Protocol):
    """Reads an endpoint as a whole, step by step. Used on the thread that fetches."""

    def step(self, place: Place, bounds: "Bounds") -> Step:
        """One page, and where to continue. ``place``: {} at the beginning."""

    def check(self, bounds: "Bounds") -> None:
        """Ask for the first page of the topmost list. Raises what ``step`` would raise."""

    def parts(self) -> list[Place]:
        """The places at which groups of parents begin: each ends with its last parent. None where there is nothing to
        divide. Raises what ``step`` would raise."""


class Alone:
    """An endpoint without a parent."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def step(self, place: Place, bounds: "Bounds") -> Step:
        return self._lists.step(NOBODY, place, bounds)

    def check(self, bounds: "Bounds") -> None:
        self._lists.first_page(NOBODY, bounds)

    def parts(self) -> list[Place]:
        return []


class Children:
    """An endpoint with a parent. ``keys``: what templates use of the parent. ``whole``: what is read of the parents."""

    def __init__(
        self, stream: str, config: "ParentConfig", keys: list[str], parents: Reader, lists: Lists, whole: "Bounds"
    ) -> None:
        self._stream = stream
        self._config = config
        self._keys = keys
        self._parents = parents
        self._lists = lists
        self._whole = whole
        self._page: tuple[Place, Step] | None = None  # the newest page of parents

    def check(self, bounds: "Bounds") -> None:
        self._parents.check(self._whole)

    def parts(self) -> list[Place]:
        """Reads all parents. Too many of them for a plan are not divided."""
        waiting: list[str] = []
        at: Place | None = {}
        while at is not None and len(waiting) <= _MOST_PARTS * _MOST_WAITING:
            page = self._parents.step(at, self._whole)
            waiting += map(self._needed, _standing(page))
            at = page.following
        size = -(-len(waiting) // _MOST_PARTS)
        if len(waiting) < 2 or size > _MOST_WAITING:
            return []
        groups = (waiting[first : first + size] for first in range(0, len(waiting), size))
        return [{"next": None, "waiting": group} for group in groups]

    def step(self, place: Place, bounds: "Bounds") -> Step:
        """One page of the children of one parent; or a page of parents, which is a step of its own: a run that is
        killed at their first child does not ask for them again."""
        waiting = place.get("waiting")
        if not waiting:
            place = self._next_parents(place)
            return Step(NOTHING, place if place["waiting"] else _next_page(place))
        first, *later = waiting
        parent = Parent(*(loads_kept(first) if isinstance(first, str) else first))  # a pair: of an older checkpoint
        found, child = self._lists.step(parent, place.get("child", {}), bounds)
        if child is not None:
            return Step(found, {**place, "child": child})
        rest = {key: value for key, value in place.items() if key not in ("child", "waiting")}
        if later:
            return Step(found, {**rest, "waiting": later})
        return Step(found, rest if "taken" in rest else _next_page(rest))

    def _next_parents(self, place: Place) -> Place:
        """The place with the next parents, taken from their page. It has ``next``, the place of the next page, once all
        of this page are taken; else ``taken`` of the page at ``parents``, of which ``last`` is the last."""
        at = place.get("parents", {})
        if self._page is None or self._page[0] != at:
            self._page = (at, self._parents.step(at, self._whole))
        page = self._page[1]
        parents = _standing(page)
        begin = _position_after(parents, place.get("taken", 0), place.get("last"))
        part = parents[begin : begin + _MOST_WAITING]
        end = begin + len(part)
        waiting = [self._needed(each) for each in part]
        if end >= len(parents):
            return {"next": page.following, "waiting": waiting}
        return {"parents": at, "taken": end, "last": str(part[-1].id), "waiting": waiting}

    def _needed(self, parent: "SourceRecord") -> str:
        """Keys and included fields of a parent, as JSON text: a checkpoint keeps each number as it was sent."""
        data = parent.data
        keys = {key: _value_at(data, key) for key in self._keys}
        for key, value in keys.items():
            if value is None or isinstance(value, dict | list):
                raise SourceFetchError(
                    f"endpoint '{self._stream}': {{parent.{key}}} has no value in record {parent.id!r} of "
                    f"'{self._config.stream}'"
                )
        included = {name: selected(selector, data) for name, selector in self._config.include.items()}
        return encode_data([keys, included]).decode()


def _standing(page: Step) -> "list[SourceRecord]":
    """The records of a page that are not deleted."""
    records, deleted = page.found
    return [record for position, record in enumerate(records) if position not in deleted]


def _next_page(place: Place) -> Place | None:
    """The place of the next page of parents; None after the last."""
    return None if place["next"] is None else {"parents": place["next"]}


def _value_at(data: Any, key: str) -> Any:
    """The value at a dotted key of a record."""
    for step in key.split("."):
        data = data.get(step) if isinstance(data, dict) else None
    return data


def _position_after(parents: list["SourceRecord"], taken: int, last: str | None) -> int:
    """Where to continue on a page of parents of which ``taken`` were taken, ``last`` the last of them. The page may
    have been asked for again, and have changed: after that parent, or one earlier than before when it has gone."""
    if not taken or last is None:
        return taken
    ids = [str(each.id) for each in parents]
    return ids.index(last) + 1 if last in ids else max(taken - 1, 0)
