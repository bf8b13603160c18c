"""Values of expressions in the syntax trees of one source folder, worked out without running them.

A value is a constant, a list, or one of the stand-ins below for a class (enums too), a member of an enum or a module.
Used by ``discover_ast`` only.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

_ENUM_BASES = ("Enum", "StrEnum", "IntEnum")
_MAX_DEPTH = 50  # names that refer to each other in a circle end here


class Unknown(Exception):
    """Cannot be worked out without running the code."""


class Member(NamedTuple):
    """A member of an enum."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """One file. ``siblings``: all files of the folder by import path, filled while they are read."""

    name: str
    tree: ast.Module
    siblings: dict[str, "Module"]
    is_package: bool

    def classes(self) -> Iterator["ClassValue"]:
        """The classes at the top level of the file."""
        return (ClassValue(self, node) for node in self.tree.body if isinstance(node, ast.ClassDef))

    def lookup(self, name: str, depth: int) -> Any:
        """The value of a global name. Raises Unknown."""
        found = self.definition(name, depth)
        if isinstance(found, ClassValue | Module):
            return found
        module, expression = found
        return evaluate(expression, module, {}, depth + 1)

    def definition(self, name: str, depth: int = 0) -> "ClassValue | Module | tuple[Module, ast.expr]":
        """What a global name stands for, an expression not yet evaluated; the last definition counts."""
        for node in reversed(self.tree.body):
            target, value = assignment(node)
            if target == name:
                return self, value
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ClassValue(self, node)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._imported(node, alias.name, depth)
            elif not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _sets(node, name):
                break
        raise Unknown(name)

    def original(self, name: str) -> str:
        """The name under which an imported name was defined."""
        imports = (node for node in self.tree.body if isinstance(node, ast.ImportFrom))
        return next((alias.name for node in imports for alias in node.names if alias.asname == name), name)

    def _imported(self, node: ast.ImportFrom, name: str, depth: int) -> "ClassValue | Module | tuple[Module, ast.expr]":
        origin = node.module or ""
        if node.level:
            parts = self.name.split(".")
            kept = parts[: len(parts) - node.level + self.is_package]
            origin = ".".join([*kept, *filter(None, [node.module])])
        if f"{origin}.{name}" in self.siblings:
            return self.siblings[f"{origin}.{name}"]
        if origin in self.siblings and depth < _MAX_DEPTH:
            return self.siblings[origin].definition(name, depth + 1)
        raise Unknown(name)


@dataclass(frozen=True, slots=True, eq=False)
class ClassValue:
    """A class of the folder."""

    module: Module
    node: ast.ClassDef

    def ancestors(self) -> Iterator["ClassValue"]:
        """The class and its bases of the same folder, nearest first."""
        pending, seen = [self], set[int]()
        while pending:
            class_ = pending.pop(0)
            if id(class_.node) not in seen:
                seen.add(id(class_.node))
                yield class_
                pending[:0] = class_.bases()

    def bases(self) -> Iterator["ClassValue"]:
        """The direct bases that are classes of the folder."""
        found: object
        for base in self.node.bases:
            try:
                match base.value if isinstance(base, ast.Subscript) else base:
                    case ast.Name(id=name):
                        found = self.module.definition(name)
                    case ast.Attribute(value=ast.Name(id=owner), attr=name):
                        module = self.module.definition(owner)
                        found = module.definition(name) if isinstance(module, Module) else None
                    case _:
                        found = None
            except Unknown:
                found = None
            if isinstance(found, ClassValue):
                yield found

    def has_base(self, *names: str) -> bool:
        """Whether the class extends one of these, by the name it was defined under; through the folder's own bases."""
        return any(
            class_.module.original(last_name(base)) in names
            for class_ in self.ancestors()
            for base in class_.node.bases
        )

    def is_source(self) -> bool:
        """Whether it extends AbstractSource."""
        return self.has_base("AbstractSource")

    def is_abstract(self) -> bool:
        """Whether it is a base for others: has no ``streams``, or a method that is still abstract."""
        seen: set[str] = set()
        for class_ in self.ancestors():
            for node in class_.node.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in seen:
                    seen.add(node.name)
                    if any(last_name(decorator) == "abstractmethod" for decorator in node.decorator_list):
                        return True
        return "streams" not in seen

    def find_method(self, name: str) -> tuple["ClassValue", ast.FunctionDef | ast.AsyncFunctionDef] | None:
        """The nearest definition of a method, and the class it is in."""
        for class_ in self.ancestors():
            for node in class_.node.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                    return class_, node
        return None

    def attribute(self, name: str, depth: int) -> Any:
        """Value of a class attribute; a Member when the class is an enum."""
        is_enum = self.has_base(*_ENUM_BASES)
        for class_ in self.ancestors():
            for node in class_.node.body:
                target, value = assignment(node)
                if target == name:
                    found = self._member_value(name, value, depth)
                    return Member(name, found) if is_enum else found
        raise Unknown(name)

    def members(self, depth: int) -> list[Member]:
        """The members of an enum, in order and without aliases."""
        if not self.has_base(*_ENUM_BASES):
            raise Unknown(self.node.name)
        found: list[Member] = []
        for node in self.node.body:
            target, expression = assignment(node)
            if target is not None and not target.startswith("_"):
                value = self._member_value(target, expression, depth)
                if all(value != member.value for member in found):
                    found.append(Member(target, value))
        return found

    def _member_value(self, name: str, value: ast.expr, depth: int) -> Any:
        if isinstance(value, ast.Call) and last_name(value.func) == "auto" and self.has_base("StrEnum"):
            return name.lower()
        return evaluate(value, self.module, {}, depth + 1)


def evaluate(node: ast.expr, module: Module, local: dict[str, Any], depth: int = 0) -> Any:
    """The value of an expression, with ``local`` names before those of the module. Raises Unknown."""
    if depth > _MAX_DEPTH:
        raise Unknown

    def value_of(inner: ast.expr, names: dict[str, Any] = local) -> Any:
        return evaluate(inner, module, names, depth + 1)

    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return local[name] if name in local else module.lookup(name, depth)
        case ast.Attribute(value=owner, attr=name):
            return _attribute(value_of(owner), name, depth)
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            values = []
            for element in elements:
                if isinstance(element, ast.Starred):
                    values += items_of(value_of(element.value), depth)
                else:
                    values.append(value_of(element))
            return values
        case ast.Dict(keys=keys) if all(keys):  # only ever iterated: its keys stand for it
            return [value_of(key) for key in keys if key is not None]
        case ast.Call(func=ast.Name(id="list" | "tuple" | "set"), args=[argument], keywords=[]):
            return items_of(value_of(argument), depth)
        case ast.Call(func=ast.Name(id="sorted"), args=[argument], keywords=[]):
            return sorted(items_of(value_of(argument), depth), key=str)
        case ast.Call(func=ast.Attribute(value=owner, attr="keys"), args=[]):
            return items_of(value_of(owner), depth)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            match node.generators:
                case [ast.comprehension(target=ast.Name(id=name), iter=source, ifs=[])]:
                    items = items_of(value_of(source), depth)
                    return [value_of(node.elt, {**local, name: item}) for item in items]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [*items_of(value_of(left), depth), *items_of(value_of(right), depth)]
    raise Unknown


def items_of(value: Any, depth: int = 0) -> list[Any]:
    """What iterating over a value gives."""
    if isinstance(value, list):
        return value
    if isinstance(value, ClassValue):
        return value.members(depth)
    raise Unknown


def _attribute(owner: Any, name: str, depth: int) -> Any:
    if isinstance(owner, Member) and name in ("name", "value"):
        return getattr(owner, name)
    if isinstance(owner, ClassValue):
        return owner.attribute(name, depth)
    if isinstance(owner, Module):
        return owner.lookup(name, depth)
    raise Unknown


def _sets(statement: ast.stmt, name: str) -> bool:
    """Whether a statement changes a name somewhere inside: ``+=``, a branch, a loop."""
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return any(node.id == name and isinstance(node.ctx, ast.Store) for node in nodes)


def assignment(statement: ast.stmt) -> tuple[str | None, ast.expr]:
    """Name and value of ``name = value`` or ``name: type = value``; no name for any other statement."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return name, value
    return None, ast.Constant(None)


def last_name(node: ast.expr) -> str:
    """``Base`` of ``Base``, ``module.Base`` and ``Base[T]``."""
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
