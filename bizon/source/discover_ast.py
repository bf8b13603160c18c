"""Source folders, read from their syntax trees. No source is imported.

``streams()`` may return a literal list of names, or the values of an enum of the same folder. For any other form the
source is listed without streams: an import is needed.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ENUM_BASES = ("Enum", "StrEnum", "IntEnum")
_MAX_DEPTH = 50  # ends imports that lead in a circle

_Function = ast.FunctionDef | ast.AsyncFunctionDef


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
    name = folder.name
    modules: dict[str, _Module] = {}
    prefix = f"{package}.{name}.src"
    for path in sorted((folder / "src").rglob("*.py")):
        parts = path.relative_to(folder / "src").with_suffix("").parts
        dotted = ".".join((prefix, *(part for part in parts if part != "__init__")))
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            reason = getattr(error, "msg", None) or str(error)
            return [SourceInfo(name, error=f"{path}:{line}: {reason}")]
        modules[dotted] = _Module(dotted, tree, modules, is_package=path.stem == "__init__")
    classes = [each for module in modules.values() for each in module.classes() if each.extends("AbstractSource")]
    classes.sort(key=lambda each: -len(list(each.ancestors())))
    infos = [_described(name, each) for each in classes if not each.is_abstract()]
    if infos:
        return infos
    found = "no class in it extends AbstractSource"
    if classes:
        found = f"no class in it is complete: {', '.join(each.node.name for each in classes)} must define streams()"
    return [SourceInfo(name, error=f"{folder / 'src'}: {found}")]


def is_stub_text(text: str) -> bool:
    """Whether this is the text of a function that does nothing: a docstring, ``pass``, ``...`` or
    ``raise NotImplementedError``. False when the text is not one function."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[0], _Function) and _is_stub(body[0])


class _Module(NamedTuple):
    """One file. ``siblings``: all files of the folder by import path, filled while they are read."""

    name: str
    tree: ast.Module
    siblings: "dict[str, _Module]"
    is_package: bool

    def classes(self) -> "Iterator[_Class]":
        """The classes at the top level of the file."""
        return (_Class(self, node) for node in self.tree.body if isinstance(node, ast.ClassDef))

    def find(self, reference: ast.expr, depth: int = 0) -> "_Class | _Module | None":
        """The class of the folder that ``Name`` or ``module.Name`` refers to, or the module; None for anything else."""
        match reference:
            case ast.Name(id=name):
                return self.named(name, depth)
            case ast.Attribute(value=owner, attr=name) if isinstance(module := self.find(owner, depth), _Module):
                return module.named(name, depth)
            case ast.Subscript(value=generic):
                return self.find(generic, depth)
        return None

    def original_name(self, reference: ast.expr) -> str:
        """The name under which a class was defined, without its module, also when an import renamed it."""
        name = _last_name(reference)
        aliases = (alias for node in self.tree.body if isinstance(node, ast.ImportFrom) for alias in node.names)
        return next((alias.name for alias in aliases if alias.asname == name), name)

    def named(self, name: str, depth: int) -> "_Class | _Module | None":
        """The class of the folder, or its module, that a global name refers to."""
        for node in reversed(self.tree.body):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return _Class(self, node)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._imported(node, alias.name, depth)
        return None

    def _imported(self, node: ast.ImportFrom, name: str, depth: int) -> "_Class | _Module | None":
        origin = node.module or ""
        if node.level:
            parts = self.name.split(".")
            kept = parts[: len(parts) - node.level + self.is_package]
            origin = ".".join([*kept, *filter(None, [node.module])])
        if f"{origin}.{name}" in self.siblings:
            return self.siblings[f"{origin}.{name}"]
        if origin in self.siblings and depth < _MAX_DEPTH:
            return self.siblings[origin].named(name, depth + 1)
        return None


class _Class(NamedTuple):
    """A class of the folder."""

    module: _Module
    node: ast.ClassDef

    def ancestors(self) -> "Iterator[_Class]":
        """The class and its bases of the same folder, nearest first."""
        pending, seen = [self], set[int]()
        while pending:
            each = pending.pop(0)
            if id(each.node) not in seen:
                seen.add(id(each.node))
                yield each
                bases = (each.module.find(base) for base in each.node.bases)
                pending[:0] = [base for base in bases if isinstance(base, _Class)]

    def extends(self, *names: str) -> bool:
        """Whether the class has a base of one of these names, directly or through bases of the folder."""
        return any(each.module.original_name(base) in names for each in self.ancestors() for base in each.node.bases)

    def is_abstract(self) -> bool:
        """Whether it lacks ``streams``, or has an abstract method left."""
        methods = self.methods()
        decorators = (each for _, node in methods.values() for each in node.decorator_list)
        return "streams" not in methods or any(_last_name(each) == "abstractmethod" for each in decorators)

    def methods(self) -> "dict[str, tuple[_Class, _Function]]":
        """Each method in its nearest definition, with the class that defines it."""
        found: dict[str, tuple[_Class, _Function]] = {}
        for each in self.ancestors():
            for node in each.node.body:
                if isinstance(node, _Function):
                    found.setdefault(node.name, (each, node))
        return found

    def members(self) -> dict[str, str] | None:
        """The names and values of an enum of texts, aliases included; None for any other class."""
        if not self.extends(*_ENUM_BASES):
            return None
        found: dict[str, str] = {}
        for node in self.node.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))) if name[0] != "_":
                    found[name] = value
                case ast.Assign() | ast.AnnAssign():
                    return None
        return found


def _described(name: str, source: _Class) -> SourceInfo:
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


def _streams(module: _Module, function: _Function) -> list[str] | None:
    """The names that ``streams()`` returns; None when an import is needed."""
    match [statement for statement in function.body if not _does_nothing(statement)]:
        case [ast.Return(value=ast.List(elts=elements) | ast.Tuple(elts=elements))]:
            names = [_name(module, element) for element in elements]
            return [name for name in names if name is not None] if None not in names else None
        case [ast.Return(value=ast.expr() as value)]:
            iterated = _iterated(value)
            enum = None if iterated is None else module.find(iterated)
            members = enum.members() if isinstance(enum, _Class) else None
            return None if members is None else list(dict.fromkeys(members.values()))
    return None


def _name(module: _Module, element: ast.expr) -> str | None:
    """A literal text, or ``Enum.MEMBER`` with or without ``.value``."""
    match element:
        case ast.Constant(value=str(text)):
            return text
        case ast.Attribute(value=ast.Attribute() as member, attr="value"):
            return _name(module, member)
        case ast.Attribute(value=owner, attr=name):
            enum = module.find(owner)
            return (enum.members() or {}).get(name) if isinstance(enum, _Class) else None
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


def _is_stub(function: _Function) -> bool:
    return all(map(_does_nothing, function.body))


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.expr() as raised):
            return _last_name(raised.func if isinstance(raised, ast.Call) else raised) == "NotImplementedError"
    return False


def _last_name(node: ast.expr) -> str:
    """``Base`` of ``Base``, ``module.Base`` and ``Base[T]``."""
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
