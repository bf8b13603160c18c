"""An entry of ``streams`` on top of the file it is in: the data of one stream, and where each value was written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.config.messages import Problem

if TYPE_CHECKING:
    from bizon.config.document import Document, KeyPath
    from bizon.config.streams import SeparateStreamConfig

_ONE_SOURCE = "the source is the same for all streams; a stream of another one needs a file of its own"
_REFUSED = (
    ("source", "name", _ONE_SOURCE),
    ("source", "source_file_path", _ONE_SOURCE),
    ("source", "stream", "the name of the entry is the stream"),
    ("destination", "name", "the destination is the same for all streams; another one needs a file of its own"),
)
_OF_THE_BLOCK = ("alias", "config")
_TABLE, _SCHEMA, _CLUSTERING = "table_id", "record_schema", "clustering_keys"
_PLACEHOLDER = "{stream}"
_CONFIG = ("destination", "config")


class OneStream(NamedTuple):
    """``data``: as a file with this stream alone has them. ``origins``: for paths in ``data``, the paths at which the
    values were written. ``problems``: mistakes in the entry itself."""

    data: dict[str, Any]
    origins: "dict[KeyPath, KeyPath]"
    problems: list[Problem]

    def place(self, path: "KeyPath") -> "KeyPath":
        """Where the value at a path was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return (*self.origins[path[:length]], *path[length:])
        return path

    def placed(self, problem: Problem) -> Problem:
        """A mistake at the place that the user wrote."""
        at = None if problem.at is None else self.place(problem.at)
        return problem._replace(path=self.place(problem.path), at=at)


def one_stream(document: "Document", entry: "SeparateStreamConfig", place: int | None) -> OneStream:
    """The data of one stream. ``place``: of its entry; None for one that comes from ``"*"``. Options win over entries,
    which win over the rest of the file."""
    whole = document.data
    at: KeyPath = ("streams",) if place is None else ("streams", place)
    origins: dict[KeyPath, KeyPath] = {("source", "stream"): at}
    problems = [Problem((*at, block, key), text) for block, key, text in _REFUSED if key in getattr(entry, block)]
    refused = [problem.path for problem in problems]
    data = {key: value for key, value in whole.items() if key != "streams"}
    for path, value, origin in (
        *_leaves(("source",), entry.source, (*at, "source"), whole["source"]),
        *_of_destination(entry, whole, (*at, "destination")),
    ):
        if origin not in refused and not any(path[: len(given)] == given for given in document.overridden):
            data = _with(data, path, value)
            origins[path] = origin
    data = _with(data, ("source", "stream"), entry.name)
    for key in ("destination", "dead_letter_path"):
        if key in data:
            data[key] = _filled_in(data[key], entry.name)
    return OneStream(data, origins, problems)


def _of_destination(
    entry: "SeparateStreamConfig", whole: Mapping[str, Any], at: "KeyPath"
) -> "list[tuple[KeyPath, Any, KeyPath]]":
    """The values below ``destination``, with the path that each has in a file of its own."""
    block, found = dict(entry.destination), []
    table = {key: block.pop(key) for key in (_TABLE, _SCHEMA, _CLUSTERING) if key in block}
    for key, value in block.items():
        path = ("destination", key) if key in _OF_THE_BLOCK else (*_CONFIG, key)
        found += _leaves(path, value, (*at, key), _value_at(whole, path))
    if _TABLE in table:
        found.append(((*_CONFIG, "destination_id"), table[_TABLE], (*at, _TABLE)))
    if _SCHEMA in table:
        usual = f"{whole['source'].get('name')}_{entry.name}"
        own = (
            table.get(_TABLE) or block.get("destination_id") or _value_at(whole, (*_CONFIG, "destination_id")) or usual
        )
        found.append(((*_CONFIG, "record_schemas"), [{"destination_id": own}], at))
    for key in table.keys() - {_TABLE}:
        within = ("record_schemas", 0) if _SCHEMA in table else ()
        found.append(((*_CONFIG, *within, key), table[key], (*at, key)))
    return found


def _leaves(path: "KeyPath", value: Any, origin: "KeyPath", below: Any) -> "list[tuple[KeyPath, Any, KeyPath]]":
    """The values with which an entry replaces others of the file. A block adds its keys to the block ``below`` it; with
    another ``type`` it replaces it as a whole."""
    if not isinstance(value, dict):
        return [(path, value, origin)]
    below = below if isinstance(below, dict) else {}
    if "type" in value and value["type"] != below.get("type", value["type"]):
        return [(path, value, origin)]
    return [
        each for key, inner in value.items() for each in _leaves((*path, key), inner, (*origin, key), below.get(key))
    ]


def _value_at(block: Any, path: "KeyPath") -> Any:
    for step in path:
        block = block.get(step) if isinstance(block, dict) else None
    return block


def _with(block: Any, path: "KeyPath", value: Any) -> Any:
    """A copy of the block with the value at a path."""
    if not path:
        return value
    step, *below = path
    if isinstance(block, list) and isinstance(step, int):
        return [_with(each, tuple(below), value) if place == step else each for place, each in enumerate(block)]
    block = block if isinstance(block, Mapping) else {}
    return {**block, step: _with(block.get(step), tuple(below), value)}


def _filled_in(value: Any, stream: str) -> Any:
    """The value with the name of the stream wherever a text has ``{stream}``."""
    if isinstance(value, str):
        return value.replace(_PLACEHOLDER, stream)
    if isinstance(value, dict):
        return {key: _filled_in(below, stream) for key, below in value.items()}
    return [_filled_in(each, stream) for each in value] if isinstance(value, list) else value
