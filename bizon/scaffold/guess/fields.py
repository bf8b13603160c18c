"""The fields with a purpose: the one that identifies a record, and the one that says when it changed."""

import re
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

from bizon.connectors.sources.rest.src.moments import Moments
from bizon.connectors.sources.rest.src.selector import selected
from bizon.scaffold.guess.shape import named

_IDS = (
    "id", "_id", "uuid", "guid", "uid", "ID", "Id", "key", "number", "sku", "slug", "code", "iid", "rowid", "name",
    "url",
)  # fmt: skip
_CHANGED = re.compile(
    r"(?i)(last_?)?(updated?|modif|chang|edited|mtime|touched).*|.*(updated?|modified|changed|edited)(_?(at|on|date|time))?"
)
_CREATED = re.compile(r"(?i).*(created|inserted|published|occurred).*|date|time|timestamp|created")
_FORMATS = ("iso8601", "epoch", "epoch_ms")
_YEARS = (1980, 2200)
_MOST_FIELDS = 12  # tried in pairs


class ChangeField(NamedTuple):
    """A field with a moment. ``is_change``: False for the time when a record was created."""

    selector: str
    format: str
    is_change: bool


def id_of(records: list[dict[str, Any]], stream: str) -> str | list[str] | None:
    """The field, or the two fields, in which every record differs; None when there are none."""
    fields = [keys for keys in _fields(records) if _identifies(records, [keys])]
    if fields:
        return named(min(fields, key=lambda keys: _rank(keys, stream)))
    usable = [keys for keys in _fields(records) if all(_is_text(_at(each, keys)) for each in records)]
    usable.sort(key=lambda keys: _rank(keys, stream))
    for pair in combinations(usable[:_MOST_FIELDS], 2):
        if _identifies(records, pair):
            return [named(keys) for keys in pair]
    return None


def change_field(records: list[dict[str, Any]]) -> ChangeField | None:
    """The field that says when a record changed; else the one that says when it was created."""
    for is_change, names in ((True, _CHANGED), (False, _CREATED)):
        for keys in _fields(records):
            if names.fullmatch(keys[-1]) is None:
                continue
            layout = _format_of([_at(each, keys) for each in records])
            if layout is not None:
                return ChangeField(named(keys), layout, is_change)
    return None


def ids_of(records: Iterable[dict[str, Any]], id_: str | list[str]) -> list[Any]:
    """The ids of records, to compare pages."""
    selectors = [id_] if isinstance(id_, str) else id_
    return [tuple(str(selected(selector, each)) for selector in selectors) for each in records]


def _fields(records: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The fields of the first record, and of the objects in it."""
    first = records[0]
    yield from ((key,) for key, value in first.items() if not isinstance(value, dict | list))
    for key, value in first.items():
        if isinstance(value, dict):
            yield from ((key, below) for below, item in value.items() if not isinstance(item, dict | list))


def _at(record: dict[str, Any], keys: Iterable[str]) -> Any:
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _identifies(records: list[dict[str, Any]], fields: Iterable[tuple[str, ...]]) -> bool:
    values = [tuple(_at(each, keys) for keys in fields) for each in records]
    return all(_is_text(item) for value in values for item in value) and len(set(values)) == len(values)


def _rank(keys: tuple[str, ...], stream: str) -> tuple[int, int]:
    name, singular = keys[-1], stream.removesuffix("s")
    if len(keys) == 1 and name in _IDS:
        return 0, _IDS.index(name)
    if name.lower() in (f"{singular}_id", f"{singular}id"):
        return 1, 0
    looks_like_one = re.search(r"(?i)(^|_|-)id$|[a-z]I[dD]$", name) is not None
    return (2 if looks_like_one else 3) + 2 * (len(keys) - 1), len(name)


def _format_of(values: list[Any]) -> str | None:
    """The format in which all of the values are moments of our time."""
    for layout in _FORMATS:
        try:
            moments = [Moments(layout, "UTC").read(value) for value in values]
        except ValueError:
            continue
        if all(_YEARS[0] <= moment.year < _YEARS[1] for moment in moments) and _is_written(values, layout):
            return layout
    return None


def _is_written(values: list[Any], layout: str) -> bool:
    """Whether the values have the type of the format. A text of digits alone does not count as a date."""
    if layout == "iso8601":
        return all(isinstance(value, str) and "-" in value for value in values)
    return all(isinstance(value, int | float) for value in values)
