"""Reads a YAML file, and keeps the line and column of every key."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bizon.common.errors.errors import ConfigError

if yaml.__with_libyaml__:
    from yaml import CSafeLoader as _Base
else:
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

KeyPath = tuple[str | int, ...]
"""The path to a value from the top: keys of mappings and indexes of lists."""

PUBLIC_KEYS = frozenset(
    {"name", "id", "stream", "type", "sync_mode", "format", "mode", "alias", "label", "database", "schema"}
    | {"destination_id", "cursor_field", "log_level", "source_file_path", "destination_file_path"}
)
"""Keys whose values are shown in messages and logs, also when they come from a variable."""

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_AS_WRITTEN = {  # numbers that keep their spelling when they are converted to text and back, and fractions
    _INT: re.compile(r"(?:0|-?[1-9][0-9]*)$"),
    _FLOAT: re.compile(
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
}
_TIMESTAMP, _MERGE = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"
_MAX_NODES = 100_000  # far more than a pipeline needs; stops aliases that multiply
_SHAPE = "a pipeline is a mapping with the keys name, source and destination"


class Position(NamedTuple):
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A configuration as plain data, with the position of each part.

    ``name``: the file as the user named it, or ``config`` for a dict. ``folder``: the folder of the file.
    ``overridden``: paths whose value came from an option. ``positions``: for each path, the positions of the key and of
    its value.
    """

    data: dict[str, Any]
    name: str = "config"
    folder: Path | None = None
    overridden: frozenset[KeyPath] = frozenset()
    positions: dict[KeyPath, tuple[Position, Position]] = field(default_factory=dict)

    def position(self, path: KeyPath, *, value: bool = False) -> Position | None:
        """The position of a key, or of its value. For a key that is not in the file, the nearest block around it."""
        if () not in self.positions:
            return None
        exact = path in self.positions
        while path not in self.positions:
            path = path[:-1]
        return self.positions[path][1 if value and exact else 0]

    def locate(self, path: KeyPath, *, value: bool = False) -> str:
        """``file.yml:3:5`` for a message. A dict and the value of an option have no position."""
        if any(path[: len(given)] == given for given in self.overridden):
            return f"{self.name} (overridden)"
        position = self.position(path, value=value)
        return self.name if position is None else f"{self.name}:{position.line}:{position.column}"


def dotted(path: KeyPath) -> str:
    """``transforms[0].python`` for a message."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def document_from_dict(data: dict[str, Any]) -> Document:
    """A configuration from a program. Raises ConfigError when ``data`` is not a dict."""
    if not isinstance(data, dict):
        raise ConfigError(f"config: {_SHAPE}, this is a {type(data).__name__}")
    return Document(data)


def load_yaml(path: str | Path) -> Document:
    """Read a pipeline's YAML file. Dates stay text, keys must be unique. Raises ConfigError with file, line, column."""
    name = str(path)
    loader = _Loader(_read(Path(path), name))
    try:
        root = loader.get_single_node()
        if root is None:
            raise ConfigError(f"{name}:1:1: the file is empty; {_SHAPE}")
        if not isinstance(root, yaml.MappingNode):
            kind = "list" if isinstance(root, yaml.SequenceNode) else "single value"
            raise ConfigError(f"{_place(name, root)}: {_SHAPE}, this is a {kind}")
        _check(name, root)
        data = loader.construct_document(root)  # also expands merge keys inside the nodes
        positions = {(): (_start(root), _start(root)), **dict(_positions(loader, root, ()))}
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_error(name, error)) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{name}: not valid YAML: a control character is not allowed ({error.reason})") from None
    except (RecursionError, ValueError, TypeError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a value does not fit its !!tag"
        raise ConfigError(f"{name}: not valid YAML: {reason}") from None
    finally:
        loader.dispose()
    return Document(data, name, Path(path).absolute().parent, positions=positions)


class _Loader(_Base):
    """The safe loader, in C where PyYAML has it. It keeps dates as text, and so numbers that YAML 1.1 reads differently
    from their spelling: 0012345 (octal), 0x1F, 1_000, +1, 12:30:45 (base 60)."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the form in which PyYAML reads it
        first: [(tag, _AS_WRITTEN.get(tag, pattern)) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


def _as_text(loader: _Base, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor(_TIMESTAMP, _as_text)  # for an explicit !!timestamp


def _read(path: Path, name: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or type(error).__name__}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        raise ConfigError(f"{name}:{line}:{column}: not UTF-8 text; save the file in this encoding") from None


def _check(name: str, root: yaml.Node) -> None:
    """Refuse duplicate keys, a block that contains itself, and aliases that multiply without end."""
    seen = 0
    around: set[int] = set()

    def visit(node: yaml.Node, path: KeyPath) -> None:
        nonlocal seen
        seen += 1
        if seen > _MAX_NODES:
            raise ConfigError(f"{name}: too large: more than {_MAX_NODES} values after aliases are expanded")
        if id(node) in around:
            raise ConfigError(f"{_place(name, node)}: {dotted(path)}: an alias refers to a block that contains it")
        around.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                visit(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            _refuse_duplicates(name, node, path)
            for key, value in node.value:
                visit(value, (*path, str(key.value)))
        around.discard(id(node))

    visit(root, ())


def _refuse_duplicates(name: str, node: yaml.MappingNode, path: KeyPath) -> None:
    first: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            known = first.setdefault((key.tag, key.value), key)
            if known is not key:
                where, line = dotted((*path, key.value)), known.start_mark.line + 1
                raise ConfigError(f"{_place(name, key)}: {where}: given twice, first in line {line}")


def _positions(loader: _Loader, node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, tuple[Position, Position]]]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), (_start(item), _start(item))
            yield from _positions(loader, item, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = loader.construct_object(key)
            below = (*path, step if type(step) in (str, int) else str(step))
            empty = value.start_mark.index == value.end_mark.index
            yield below, (_start(key), _start(key if empty else value))
            yield from _positions(loader, value, below)


def _start(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _place(name: str, node: yaml.Node) -> str:
    start = _start(node)
    return f"{name}:{start.line}:{start.column}"


def _syntax_error(name: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = error.problem or "not understood"
    if "cannot start any token" in problem:
        problem = "a tab cannot indent, nor can @, ` or % start a text; indent with spaces, quote the text"
    elif "mapping values are not allowed" in problem:
        problem = "a ':' is not allowed here; check the indentation, and quote a text that contains ': '"
    elif "another document" in problem:
        problem = "a second document starts here; a file holds one pipeline"
    elif error.context:
        problem = f"{error.context}, {problem}"
    return f"{place}: not valid YAML: {problem}"
