"""Where the records of an answer are, and how a JMESPath expression names a place."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[\])?")
_DEEPEST = 5  # objects within objects
_USUAL = (
    "data",
    "items",
    "results",
    "records",
    "values",
    "entries",
    "rows",
    "objects",
    "hits",
    "nodes",
    "list",
    "content",
)


class Found(NamedTuple):
    """A list of objects in an answer."""

    selector: str
    records: list[dict[str, Any]]


def records_in(value: Any) -> Found | None:
    """The list of an answer that is most likely the list of its records; None without a list of objects."""
    if isinstance(value, list):
        return Found("@", value) if _are_objects(value) else None
    found = [each for each in _lists(value, ()) if each.records]
    return max(found, key=_likeliness, default=None)


def lists_of_others(value: Any) -> str | None:
    """The place of a list that holds something else than objects, of one with a usual name if there is one."""
    if isinstance(value, list):
        return "@" if value else None
    items = value.items() if isinstance(value, dict) else ()
    found = [named((key,)) for key, item in items if isinstance(item, list) and item and not _are_objects(item)]
    return max(found, key=is_usual, default=None)


def is_usual(selector: str) -> bool:
    """Whether a place has a name that APIs give to the list of their records."""
    return re.split(r"[.\[]", selector)[-1] in _USUAL


def named(keys: tuple[str, ...]) -> str:
    """The expression for a place below keys."""
    return ".".join(key if _PLAIN.fullmatch(key) else json.dumps(key) for key in keys) or "@"


def values_in(value: Any, skip: Any = None, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The keys and the values of the texts, numbers and truth values around the list ``skip``."""
    if isinstance(value, dict) and len(keys) < _DEEPEST:
        for key, item in value.items():
            if item is not skip:
                yield from values_in(item, skip, (*keys, str(key)))
    elif keys and not isinstance(value, list | dict):
        yield keys, value


def _lists(value: Any, keys: tuple[str, ...]) -> Iterator[Found]:
    if not isinstance(value, dict) or len(keys) >= _DEEPEST:
        return
    for key, item in value.items():
        below = (*keys, str(key))
        if isinstance(item, list) and _are_objects(item):
            nodes: list[Any] = [each.get("node") for each in item]
            if key == "edges" and _are_objects(nodes):
                yield Found(named((*keys, "edges[]", "node")), nodes)
            else:
                yield Found(named(below), item)
        yield from _lists(item, below)


def _are_objects(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _likeliness(found: Found) -> tuple[bool, int, int]:
    return is_usual(found.selector), -found.selector.count("."), len(found.records)
