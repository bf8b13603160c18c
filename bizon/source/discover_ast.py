"""Source folders, read from their syntax trees. No source is imported.

``streams()`` may return a literal list of names, or the values of an enum of the same folder. For any other form the
source is listed without streams: an import is needed.
"""

import ast
from pathlib import Path
from typing import NamedTuple

from bizon.source.discover_classes import Function, SourceClass, UnreadableError, source_classes


class SourceInfo(NamedTuple):
    """One source class of a folder.

    ``streams`` is None when an import is needed to know them. ``error`` says why the folder cannot be used; the other
    fields are then empty.
    """

    name: str
    module: str = ""
    class_name: str = ""
    streams: list[str] | None = None
    supports_incremental: bool = False
    error: str | None = None


def find_sources(root: Path, package: str) -> list[SourceInfo]:
    """The sources of every folder below ``root`` that has a ``src`` folder, by name. ``package`` is the import path of
    ``root``."""
    folders = sorted(path.parent for path in root.glob("*/src") if path.is_dir())
    return [info for folder in folders for info in inspect_source(folder, package)]


def inspect_source(folder: Path, package: str) -> list[SourceInfo]:
    """The source classes in ``folder/src``, the most derived first. When there are none, one entry with ``error``."""
    src = folder / "src"
    try:
        classes = source_classes(src, f"{package}.{folder.name}.src")
        infos = [_described(folder.name, each) for each in classes if not each.is_abstract()]
    except UnreadableError as error:
        return [SourceInfo(folder.name, error=str(error))]
    found = "no class in it extends AbstractSource"
    if classes:
        found = f"no class in it is complete: {', '.join(each.node.name for each in classes)} must define streams()"
    return infos or [SourceInfo(folder.name, error=f"{src}: {found}")]


def is_stub_text(text: str) -> bool:
    """Whether this is the text of a function that does nothing: a docstring, ``pass``, ``...`` or
    ``raise NotImplementedError``. False when the text is not one function."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[0], Function) and not _statements(body[0])


def _described(name: str, source: SourceClass) -> SourceInfo:
    methods = source.methods()
    _, incremental = methods.get("get_records_after", (None, None))
    streams = _streams(*methods["streams"])
    is_incremental = incremental is not None and bool(_statements(incremental))
    return SourceInfo(name, source.module.name, source.node.name, streams, is_incremental)


def _streams(owner: SourceClass, function: Function) -> list[str] | None:
    """The names that ``streams()`` returns; None when an import is needed. ``owner`` defines the function."""
    enum: ast.expr
    match _statements(function):
        case [ast.Return(value=ast.List(elts=elements) | ast.Tuple(elts=elements))]:
            names = [_name(owner, element) for element in elements]
            return None if None in names else [name for name in names if name is not None]
        case [ast.Return(value=ast.Call(func=ast.Name(id="list"), args=[enum], keywords=[]))]:
            return _values(owner, enum)
        case [ast.Return(value=ast.ListComp(elt, [ast.comprehension(ast.Name(id=each), enum, [])]))]:
            return _values(owner, enum) if ast.unparse(elt) in (each, f"{each}.value") else None
    return None


def _name(owner: SourceClass, element: ast.expr) -> str | None:
    """A literal text, or ``Enum.MEMBER`` with or without ``.value``."""
    match element:
        case ast.Constant(value=str(text)):
            return text
        case ast.Attribute(value=ast.Attribute() as member, attr="value"):
            return _name(owner, member)
        case ast.Attribute(value=enum, attr=name):
            return owner.members_of(enum).get(name)
    return None


def _values(owner: SourceClass, enum: ast.expr) -> list[str] | None:
    return list(dict.fromkeys(owner.members_of(enum).values())) or None


def _statements(function: Function) -> list[ast.stmt]:
    """The body without what does nothing; empty for a stub."""
    return [statement for statement in function.body if not _does_nothing(statement)]


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
            return True
    return False
