"""The classes of one source folder, as syntax trees.

A class is found by its name, which one file of the folder defines. A name that several files define, or that comes from
outside the folder, is not found.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

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
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes at the top level."""
        return {node.name: node for node in self._tree.body if isinstance(node, ast.ClassDef)}

    @cached_property
    def imported(self) -> dict[str, str]:
        """Each name of ``from`` imports, with the module it comes from, a dot, and its name there."""
        imports = [node for node in self._tree.body if isinstance(node, ast.ImportFrom)]
        return {
            alias.asname or alias.name: f"{'.' * node.level}{node.module or ''}.{alias.name}"
            for node in imports
            for alias in node.names
        }

    def path_of(self, reference: ast.expr) -> str:
        """Where ``Name``, ``module.Name`` or ``Name[T]`` comes from: as in ``imported``, or the bare name."""
        match reference:
            case ast.Name(id=name):
                return self.imported.get(name, name)
            case ast.Attribute(value=owner, attr=name):
                return f"{self.path_of(owner)}.{name}"
            case ast.Subscript(value=generic):
                return self.path_of(generic)
        return ""

    @cached_property
    def _tree(self) -> ast.Module:
        with self._reading():
            return ast.parse(self._text, filename=str(self._file))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (SyntaxError, ValueError) as error:
            line, reason = getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error
            raise UnreadableError(f"{self._file}:{line}: {reason}") from None


class SourceClass(NamedTuple):
    """A class of the folder. ``modules``: all files of the folder. ``package``: its import path."""

    module: SourceModule
    node: ast.ClassDef
    modules: tuple[SourceModule, ...]
    package: str

    def methods(self) -> "dict[str, tuple[SourceClass, Function]]":
        """Each method in its nearest definition, with the class that defines it."""
        definitions = [(each, node) for each in reversed(self.ancestors()) for node in each.node.body]
        return {node.name: (each, node) for each, node in definitions if isinstance(node, Function)}

    def is_abstract(self) -> bool:
        """Whether it lacks ``streams``, or has an abstract method left."""
        methods = self.methods()
        decorators = [owner.module.path_of(each) for owner, node in methods.values() for each in node.decorator_list]
        return "streams" not in methods or any(path.endswith("abstractmethod") for path in decorators)

    def find(self, reference: ast.expr) -> "SourceClass | None":
        """The class of the folder that an expression of this class refers to."""
        origin, _, name = self.module.path_of(reference).rpartition(".")
        modules = (self.module,) if not origin else self.modules if origin.startswith((".", self.package)) else ()
        found = [each for each in modules if each.mentions(name) and name in each.classes]
        return self._replace(module=found[0], node=found[0].classes[name]) if len(found) == 1 else None

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

    def members_of(self, enum: ast.expr) -> dict[str, str]:
        """The names and values of an enum of texts that this class refers to, aliases included; empty for any other
        class."""
        owner = self.find(enum)
        if owner is None or not owner.extends("Enum", "StrEnum", "IntEnum"):
            return {}
        found: dict[str, str] = {}
        for node in owner.node.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))) if name[0] != "_":
                    found[name] = value
                case ast.Assign() | ast.AnnAssign():
                    return {}
        return found


def source_classes(folder: Path, package: str) -> list[SourceClass]:
    """The classes of a folder that extend AbstractSource, the most derived first. A file that names neither
    AbstractSource nor such a class has none, so it is not parsed. Raises UnreadableError."""
    paths = [(file, file.relative_to(folder).with_suffix("").parts) for file in sorted(folder.rglob("*.py"))]
    modules = tuple(SourceModule(".".join((package, *parts)).removesuffix(".__init__"), file) for file, parts in paths)
    found, names = dict[ast.ClassDef, SourceClass](), ["AbstractSource"]
    for name in names:
        for module in modules:
            for node in module.classes.values() if module.mentions(name) else ():
                each = SourceClass(module, node, modules, package)
                if node not in found and each.extends("AbstractSource"):
                    found[node] = each
                    names.append(node.name)
    return sorted(found.values(), key=lambda each: (-len(each.ancestors()), each.module.name, each.node.name))
