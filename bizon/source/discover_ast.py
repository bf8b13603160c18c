"""What source folders declare, read from their syntax trees. Nothing is ever imported.

``streams()`` may return a list, constants of the module or an enum of the same folder in the usual ways; when it needs
more than that, the source is listed without streams.
"""

import ast
from pathlib import Path
from typing import Any, NamedTuple

from bizon.source.discover_values import ClassValue, Member, Module, Unknown, assignment, evaluate, items_of, last_name


class SourceInfo(NamedTuple):
    """One source class of a folder.

    ``streams`` is None when only an import can tell. ``error`` says why the folder cannot be used; the other fields
    are empty then.
    """

    name: str
    module: str = ""
    class_name: str = ""
    streams: list[str] | None = None
    supports_incremental: bool = False
    error: str | None = None


def find_sources(root: Path, package: str) -> list[SourceInfo]:
    """The sources of every folder below ``root`` that has a ``src`` folder, by name; ``package`` is root's import
    path. Called by discovery and through it by the CLI."""
    folders = sorted(path.parent for path in root.glob("*/src") if path.is_dir())
    return [info for folder in folders for info in inspect_source(folder, package)]


def inspect_source(folder: Path, package: str) -> list[SourceInfo]:
    """The source classes in ``folder/src``, at least one entry: one with ``error`` when there are none."""
    name = folder.name
    modules: dict[str, Module] = {}
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
        modules[dotted] = Module(dotted, tree, modules, is_package=path.stem == "__init__")
    classes = [class_ for module in modules.values() for class_ in module.classes() if class_.is_source()]
    classes.sort(key=lambda class_: -len(list(class_.ancestors())))  # the most derived first
    infos = [_describe(name, class_) for class_ in classes if not class_.is_abstract()]
    if infos:
        return infos
    if classes:
        found = f"no class there is complete: {', '.join(c.node.name for c in classes)} must define streams()"
    else:
        found = "no class there extends AbstractSource"
    return [SourceInfo(name, error=f"{folder / 'src'}: {found}")]


def is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function does nothing: a docstring, ``pass``, ``...`` or ``raise NotImplementedError``."""
    return all(_does_nothing(statement) for statement in function.body)


def is_stub_text(text: str) -> bool:
    """The same for the text of one function; False when it cannot be read as one."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) and is_stub(body[0])


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return last_name(raised) == "NotImplementedError"
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _describe(name: str, class_: ClassValue) -> SourceInfo:
    incremental = class_.find_method("get_records_after")
    return SourceInfo(
        name=name,
        module=class_.module.name,
        class_name=class_.node.name,
        streams=_streams(class_),
        supports_incremental=incremental is not None and not is_stub(incremental[1]),
    )


def _streams(class_: ClassValue) -> list[str] | None:
    found = class_.find_method("streams")
    if found is None:
        return None
    owner, function = found
    local: dict[str, Any] = {}
    try:
        for statement in function.body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                values = items_of(evaluate(statement.value, owner.module, local))
                names = [value.value if isinstance(value, Member) else value for value in values]
                return names if all(isinstance(name, str) for name in names) else None
            target, value = assignment(statement)
            if target is not None:
                local[target] = evaluate(value, owner.module, local)
            elif not _does_nothing(statement):
                return None
    except Unknown:
        pass
    return None
