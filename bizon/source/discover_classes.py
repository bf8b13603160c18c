"""The files and classes of one source folder, as syntax trees: what a name refers to, and what a class inherits."""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

_ENUM_BASES = ("Enum", "StrEnum", "IntEnum")
_MAX_DEPTH = 50  # ends imports that lead in a circle

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableError(Exception):
    """A file that is not Python; the text names file, line and reason."""


class SourceFile(NamedTuple):
    """A file as it was read."""

    path: Path
    text: bytes

    def tree(self) -> ast.Module:
        """Its syntax tree. Raises UnreadableError."""
        with self._reading():
            return ast.parse(self.text, filename=str(self.path))

    def check(self) -> None:
        """Raise UnreadableError when it is not Python. As an import does, this compiles a file only once."""
        with self._reading():
            SourceFileLoader(self.path.stem, str(self.path)).get_code(self.path.stem)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            reason = getattr(error, "msg", None) or str(error)
            raise UnreadableError(f"{self.path}:{line}: {reason}") from None


class SourceModules(Mapping[str, "SourceModule"]):
    """All files of a folder by import path. Each is parsed when it is first looked up, which raises UnreadableError for
    a file that is not Python."""

    def __init__(self, files: Mapping[str, SourceFile]) -> None:
        self._files = files
        self._parsed: dict[str, SourceModule] = {}

    def __getitem__(self, name: str) -> "SourceModule":
        if name not in self._parsed:
            file = self._files[name]
            self._parsed[name] = SourceModule(name, file.tree(), self, is_package=file.path.stem == "__init__")
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def mentioning(self, word: str) -> "Iterator[SourceModule]":
        """The files whose text has the word."""
        mention = re.compile(rb"\b%b\b" % word.encode())
        return (self[name] for name, file in self._files.items() if mention.search(file.text))

    def check(self) -> None:
        """Raise UnreadableError when one of the files is not Python."""
        for name, file in self._files.items():
            if name not in self._parsed:
                file.check()

    def clear(self) -> None:
        """Free the trees, which refer to each other."""
        self._parsed.clear()


class SourceModule(NamedTuple):
    """One file that has been parsed. ``siblings``: all files of the folder."""

    name: str
    tree: ast.Module
    siblings: SourceModules
    is_package: bool

    def classes(self) -> "Iterator[SourceClass]":
        """The classes at the top level of the file."""
        return (SourceClass(self, node) for node in self.tree.body if isinstance(node, ast.ClassDef))

    def find(self, reference: ast.expr, depth: int = 0) -> "SourceClass | SourceModule | None":
        """The class of the folder that ``Name`` or ``module.Name`` refers to, or the module; None for anything else."""
        match reference:
            case ast.Name(id=name):
                return self.named(name, depth)
            case ast.Attribute(value=owner, attr=name) if isinstance(module := self.find(owner, depth), SourceModule):
                return module.named(name, depth)
            case ast.Subscript(value=generic):
                return self.find(generic, depth)
        return None

    def original_name(self, reference: ast.expr) -> str:
        """The name under which a class was defined, without its module, also when an import renamed it."""
        name = last_name(reference)
        aliases = (alias for node in self.tree.body if isinstance(node, ast.ImportFrom) for alias in node.names)
        return next((alias.name for alias in aliases if alias.asname == name), name)

    def named(self, name: str, depth: int) -> "SourceClass | SourceModule | None":
        """The class of the folder, or its module, that a global name refers to."""
        for node in reversed(self.tree.body):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return SourceClass(self, node)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._imported(node, alias.name, depth)
        return None

    def _imported(self, node: ast.ImportFrom, name: str, depth: int) -> "SourceClass | SourceModule | None":
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


class SourceClass(NamedTuple):
    """A class of the folder."""

    module: SourceModule
    node: ast.ClassDef

    def ancestors(self) -> "Iterator[SourceClass]":
        """The class and its bases of the same folder, nearest first."""
        pending, seen = [self], set[int]()
        while pending:
            each = pending.pop(0)
            if id(each.node) not in seen:
                seen.add(id(each.node))
                yield each
                bases = (each.module.find(base) for base in each.node.bases)
                pending[:0] = [base for base in bases if isinstance(base, SourceClass)]

    def extends(self, *names: str) -> bool:
        """Whether the class has a base of one of these names, directly or through bases of the folder."""
        return any(each.module.original_name(base) in names for each in self.ancestors() for base in each.node.bases)

    def is_abstract(self) -> bool:
        """Whether it lacks ``streams``, or has an abstract method left."""
        methods = self.methods()
        decorators = (each for _, node in methods.values() for each in node.decorator_list)
        return "streams" not in methods or any(last_name(each) == "abstractmethod" for each in decorators)

    def methods(self) -> "dict[str, tuple[SourceClass, Function]]":
        """Each method in its nearest definition, with the class that defines it."""
        found: dict[str, tuple[SourceClass, Function]] = {}
        for each in self.ancestors():
            for node in each.node.body:
                if isinstance(node, Function):
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


def last_name(node: ast.expr) -> str:
    """``Base`` of ``Base``, ``module.Base`` and ``Base[T]``."""
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
