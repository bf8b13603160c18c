"""The three registrations of a destination inside the tree, inserted where the last one stands."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import ConfigError
from bizon.scaffold.templates import rendered

if TYPE_CHECKING:
    from bizon.scaffold.names import Names

_MEMBERS, _CLASSES, _FACTORY = (
    "bizon/destination/config.py",
    "bizon/common/models.py",
    "bizon/destination/destination.py",
)
_LONGEST_LINE = 120
_CUSTOM = "CUSTOM"  # stays last: it stands for the destinations that are not registered


class _Place(NamedTuple):
    """Where lines are inserted: before a line, counted from 0."""

    line: int
    text: str


def registered(folder: Path, names: "Names") -> dict[str, str]:
    """The changed texts of the three files, by path. Raises ConfigError when one of them does not look as expected, or
    knows the destination already."""
    edits: dict[str, Callable[[str, Names], list[_Place]]] = {
        _MEMBERS: _member,
        _CLASSES: _config_class,
        _FACTORY: _branch,
    }
    texts: dict[str, str] = {}
    for path, edit in edits.items():
        try:
            text = (folder / path).read_text(encoding="utf-8")
            if f"DestinationTypes.{names.upper}:" in text or f'= "{names.snake}"' in text:
                raise ConfigError(f"{path} knows the destination '{names.snake}' already; choose another name")
            texts[path] = _inserted(text, edit(text, names))
        except (OSError, StopIteration, ValueError) as error:
            raise ConfigError(f"{path}: found no place to register '{names.snake}'; do it by hand") from error
    return texts


def _inserted(text: str, places: list[_Place]) -> str:
    lines = text.splitlines(keepends=True)
    for place in sorted(places, reverse=True):
        lines.insert(place.line, place.text)
    return "".join(lines)


def _member(text: str, names: "Names") -> list[_Place]:
    members = next(node for node in ast.parse(text).body if getattr(node, "name", None) == "DestinationTypes")
    assigned = [node for node in ast.walk(members) if isinstance(node, ast.Assign)]
    before = [node for node in assigned if ast.unparse(node.targets[0]) != _CUSTOM]
    return [_Place(max(node.end_lineno or 0 for node in before), f'    {names.upper} = "{names.snake}"\n')]


def _config_class(text: str, names: "Names") -> list[_Place]:
    lines = text.splitlines()
    custom = next(number for number, line in enumerate(lines) if f"DestinationTypes.{_CUSTOM}:" in line)
    path = f'"bizon.connectors.destinations.{names.snake}.src.config.{names.pascal}Config"'
    entry = f"        DestinationTypes.{names.upper}: {path},"
    if len(entry) > _LONGEST_LINE:
        entry = f"        DestinationTypes.{names.upper}: (\n            {path}\n        ),"
    return [_Place(custom, f"{entry}\n")]


def _branch(text: str, names: "Names") -> list[_Place]:
    lines = text.splitlines()
    last = max(number for number, line in enumerate(lines) if " config.name == DestinationTypes." in line)
    end = next(number for number in range(last + 1, len(lines)) if lines[number] and lines[number][:9].strip())
    branch = rendered("destination/branch.py", names._asdict(), ())
    return [_Place(end, f"{branch}\n")]
