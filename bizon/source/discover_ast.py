"""Source folders, read from their syntax trees. No source is imported.

``streams()`` may return a literal list of names, or the values of an enum of the same folder. For any other form the
source is listed without streams: an import is needed.
"""

import ast
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from bizon.source.discover_classes import (
    Function,
    SourceClass,
    SourceFile,
    SourceModule,
    SourceModules,
    UnreadableError,
    last_name,
)


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
    files = tuple((path, path.read_bytes()) for path in sorted((folder / "src").rglob("*.py")))
    return list(_inspected(folder, package, files))


@lru_cache(maxsize=64)  # reading the files of a source takes a millisecond, parsing them many
def _inspected(folder: Path, package: str, files: tuple[tuple[Path, bytes], ...]) -> tuple[SourceInfo, ...]:
    name, prefix = folder.name, f"{package}.{folder.name}.src"
    modules = SourceModules(
        {_dotted(prefix, path.relative_to(folder / "src")): SourceFile(path, text) for path, text in files}
    )
    try:
        with _parsing(modules):
            classes = _source_classes(modules)
            modules.check()
            infos = [_described(name, each) for each in classes if not each.is_abstract()]
    except UnreadableError as error:
        return (SourceInfo(name, error=str(error)),)
    if infos:
        return tuple(infos)
    found = "no class in it extends AbstractSource"
    if classes:
        found = f"no class in it is complete: {', '.join(each.node.name for each in classes)} must define streams()"
    return (SourceInfo(name, error=f"{folder / 'src'}: {found}"),)


def _dotted(prefix: str, file: Path) -> str:
    return ".".join((prefix, *(part for part in file.with_suffix("").parts if part != "__init__")))


def _source_classes(modules: SourceModules) -> list[SourceClass]:
    """The classes that extend AbstractSource, the most derived first. A file that names neither AbstractSource nor such
    a class has none, so it is not parsed."""
    found: dict[tuple[str, str], SourceClass] = {}
    names = ["AbstractSource"]
    for name in names:
        for module in modules.mentioning(name):
            for each in module.classes():
                key = (module.name, each.node.name)
                if key not in found and each.extends("AbstractSource"):
                    found[key] = each
                    names.append(each.node.name)
    return [found[key] for key in sorted(found, key=lambda key: (-len(list(found[key].ancestors())), key))]


@contextmanager
def _parsing(modules: SourceModules) -> Iterator[None]:
    """Within: modules are parsed. They refer to each other until the end, so none of them is garbage, and looking for
    garbage would take 40 % of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        modules.clear()
        if was_on:
            gc.enable()


def is_stub_text(text: str) -> bool:
    """Whether this is the text of a function that does nothing: a docstring, ``pass``, ``...`` or
    ``raise NotImplementedError``. False when the text is not one function."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[0], Function) and _is_stub(body[0])


def _described(name: str, source: SourceClass) -> SourceInfo:
    methods = source.methods()
    owner, streams = methods["streams"]
    _, incremental = methods.get("get_records_after", (None, None))
    return SourceInfo(
        name=name,
        module=source.module.name,
        class_name=source.node.name,
        streams=_streams(owner.module, streams),
        supports_incremental=incremental is not None and not _is_stub(incremental),
    )


def _streams(module: SourceModule, function: Function) -> list[str] | None:
    """The names that ``streams()`` returns; None when an import is needed."""
    match [statement for statement in function.body if not _does_nothing(statement)]:
        case [ast.Return(value=ast.List(elts=elements) | ast.Tuple(elts=elements))]:
            names = [_name(module, element) for element in elements]
            return [name for name in names if name is not None] if None not in names else None
        case [ast.Return(value=ast.expr() as value)]:
            iterated = _iterated(value)
            enum = None if iterated is None else module.find(iterated)
            members = enum.members() if isinstance(enum, SourceClass) else None
            return None if members is None else list(dict.fromkeys(members.values()))
    return None


def _name(module: SourceModule, element: ast.expr) -> str | None:
    """A literal text, or ``Enum.MEMBER`` with or without ``.value``."""
    match element:
        case ast.Constant(value=str(text)):
            return text
        case ast.Attribute(value=ast.Attribute() as member, attr="value"):
            return _name(module, member)
        case ast.Attribute(value=owner, attr=name):
            enum = module.find(owner)
            return (enum.members() or {}).get(name) if isinstance(enum, SourceClass) else None
    return None


def _iterated(value: ast.expr) -> ast.expr | None:
    """``Enum`` of ``list(Enum)``, ``[each for each in Enum]`` and ``[each.value for each in Enum]``."""
    match value:
        case ast.Call(func=ast.Name(id="list"), args=[enum], keywords=[]):
            return enum
        case ast.ListComp(generators=[ast.comprehension(target=ast.Name(id=each), iter=enum, ifs=[])], elt=elt):
            match elt:
                case ast.Name(id=used) | ast.Attribute(value=ast.Name(id=used), attr="value") if used == each:
                    return enum
    return None


def _is_stub(function: Function) -> bool:
    return all(map(_does_nothing, function.body))


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.expr() as raised):
            return last_name(raised.func if isinstance(raised, ast.Call) else raised) == "NotImplementedError"
    return False
