"""The files and classes of one source folder, as syntax trees: what a name refers to, and what a class inherits."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

_ENUM_BASES = ("Enum", "StrEnum", "IntEnum")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableError(Exception):
    """A file that is not Python; the text names file, line and reason."""


class SourceModule:
    """A file of the folder. Compiled at once, as by an import, and parsed when its tree is needed. ``name``: its import
    path. Raises UnreadableError when it is not Python."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self._text = file.read_bytes()
        self._file = file
        with self._reading():
            SourceFileLoader(file.stem, str(file)).get_code(file.stem)  # compiles a file once, and keeps the result

    def mentions(self, word: str) -> bool:
        """Whether its text has the word. A plain search, which is quicker, rules out most files."""
        text = word.encode()
        return text in self._text and re.search(rb"\b%b\b" % text, self._text) is not None

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        with self._reading():
            return ast.parse(self._text, filename=str(self._file))

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes at the top level."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @cached_property
    def imported(self) -> dict[str, str]:
        """The global names that come from other modules, with their import paths there."""
        parts, is_package = self.name.split("."), self._file.stem == "__init__"
        found: dict[str, str] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom):
                parents = parts[: len(parts) - node.level + is_package] if node.level else []
                origin = ".".join([*parents, *filter(None, [node.module])])
                found.update((alias.asname or alias.name, f"{origin}.{alias.name}") for alias in node.names)
        return found

    def path_of(self, reference: ast.expr) -> str:
        """The import path of ``Name``, ``module.Name`` or ``Name[T]``."""
        match reference:
            case ast.Name(id=name):
                return f"{self.name}.{name}" if name in self.classes else self.imported.get(name, name)
            case ast.Attribute(value=owner, attr=name):
                return f"{self.path_of(owner)}.{name}"
            case ast.Subscript(value=generic):
                return self.path_of(generic)
        return ""

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (SyntaxError, ValueError) as error:
            line, reason = getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error
            raise UnreadableError(f"{self._file}:{line}: {reason}") from None


class SourceFolder:
    """All files of a folder. ``package``: its import path. Raises UnreadableError when one of them is not Python."""

    def __init__(self, folder: Path, package: str) -> None:
        self._modules: dict[str, SourceModule] = {}
        for file in sorted(folder.rglob("*.py")):
            parts = (part for part in file.relative_to(folder).with_suffix("").parts if part != "__init__")
            name = ".".join((package, *parts))
            self._modules[name] = SourceModule(name, file)

    def sources(self) -> "list[SourceClass]":
        """The classes that extend AbstractSource, the most derived first. A file that names neither AbstractSource nor
        such a class has none, so it is not parsed."""
        found: dict[str, SourceClass] = {}
        names = ["AbstractSource"]
        for name in names:
            for module in self._modules.values():
                for node in module.classes.values() if module.mentions(name) else ():
                    each = SourceClass(self, module, node)
                    if each.path not in found and each.extends("AbstractSource"):
                        found[each.path] = each
                        names.append(node.name)
        return sorted(found.values(), key=lambda each: (-len(each.ancestors()), each.path))

    def find(self, path: str) -> "SourceClass | None":
        """The class with this import path, also when the module there imports it from another one of the folder."""
        seen = set[str]()
        while path not in seen:
            seen.add(path)
            module_name, _, name = path.rpartition(".")
            module = self._modules.get(module_name)
            if module is None:
                return None
            if name in module.classes:
                return SourceClass(self, module, module.classes[name])
            path = module.imported.get(name, path)
        return None


class SourceClass(NamedTuple):
    """A class of the folder."""

    folder: SourceFolder
    module: SourceModule
    node: ast.ClassDef

    @property
    def path(self) -> str:
        """The import path."""
        return f"{self.module.name}.{self.node.name}"

    def find(self, reference: ast.expr) -> "SourceClass | None":
        """The class of the folder that an expression of this class refers to."""
        return self.folder.find(self.module.path_of(reference))

    def ancestors(self) -> "list[SourceClass]":
        """The class and its bases of the same folder, nearest first."""
        pending, found = [self], dict[ast.ClassDef, SourceClass]()
        while pending:
            each = pending.pop(0)
            if each.node not in found:
                found[each.node] = each
                pending[:0] = filter(None, map(each.find, each.node.bases))
        return list(found.values())

    def extends(self, *names: str) -> bool:
        """Whether the class has a base of one of these names, directly or through bases of the folder."""
        bases = (each.module.path_of(base) for each in self.ancestors() for base in each.node.bases)
        return any(path.rpartition(".")[2] in names for path in bases)

    def methods(self) -> "dict[str, tuple[SourceClass, Function]]":
        """Each method in its nearest definition, with the class that defines it."""
        found: dict[str, tuple[SourceClass, Function]] = {}
        for each in self.ancestors():
            for node in each.node.body:
                if isinstance(node, Function):
                    found.setdefault(node.name, (each, node))
        return found

    def is_abstract(self) -> bool:
        """Whether it lacks ``streams``, or has an abstract method left."""
        methods = self.methods()
        decorators = (owner.module.path_of(each) for owner, node in methods.values() for each in node.decorator_list)
        return "streams" not in methods or any(path.rpartition(".")[2] == "abstractmethod" for path in decorators)

    def members(self) -> dict[str, str]:
        """The names and values of an enum of texts, aliases included; empty for any other class."""
        if not self.extends(*_ENUM_BASES):
            return {}
        found: dict[str, str] = {}
        for node in self.node.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))) if name[0] != "_":
                    found[name] = value
                case ast.Assign() | ast.AnnAssign():
                    return {}
        return found
