"""Python modules put together from parts: one docstring, one block of imports without unused names, and the bodies.

Templates therefore import whatever one of their variants needs, and the same parts make one file or several.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SHORTEST_LINE = 88  # the default of formatters; a longer list of names is written one per line, which all keep


class _Import(NamedTuple):
    module: str
    name: str | None = None  # None: ``import module``
    alias: str | None = None

    @property
    def bound(self) -> str:
        return self.alias or self.name or self.module.partition(".")[0]


def module_of(*parts: str, first_party: str) -> str:
    """One module from the texts of several. The docstring is the first one. ``first_party``: the package whose
    imports come last, as ruff sorts them. Imports between the parts are dropped: the result defines their names."""
    trees = [ast.parse(part) for part in parts]
    bodies = [_body(part, tree) for part, tree in zip(parts, trees, strict=True)]
    whole = "\n\n\n".join(bodies)
    defined, used = _defined(whole), _used(whole)
    imports = {each for tree in trees for each in _imports(tree) if each.bound in used and each.bound not in defined}
    docstrings = (
        ast.get_source_segment(part, node)
        for part, tree in zip(parts, trees, strict=True)
        for node in tree.body[:1]
        if _is_docstring(node)
    )
    head = "\n\n".join(filter(None, [next(docstrings, None), *_blocks(imports, first_party)]))
    gap = "\n\n\n" if whole.startswith(("class ", "def ", "@")) else "\n\n"
    return f"{head}{gap}{whole}\n" if head else f"{whole}\n"


def _body(part: str, tree: ast.Module) -> str:
    """The text after the docstring and the imports, comments included."""
    head = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node)]
    last = max((node.end_lineno or 0 for node in head), default=0)
    return "\n".join(part.splitlines()[last:]).strip("\n")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.Module) -> Iterator[_Import]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, alias=alias.asname) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (_Import(node.module or "", alias.name) for alias in node.names)


def _defined(text: str) -> set[str]:
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _used(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _blocks(imports: Iterable[_Import], first_party: str) -> Iterator[str]:
    """The standard library, other packages, the package itself; in each ``import x`` before ``from x import y``."""
    blocks: dict[int, list[_Import]] = {}
    for each in sorted(imports, key=lambda each: (each.name is not None, each.module)):
        root = each.module.partition(".")[0]
        block = 0 if root in sys.stdlib_module_names else 2 if root == first_party else 1
        blocks.setdefault(block, []).append(each)
    for _, block_imports in sorted(blocks.items()):
        yield "\n".join(_lines(block_imports))


def _lines(imports: list[_Import]) -> Iterator[str]:
    for each in imports:
        if each.name is None:
            yield f"import {each.module}" + (f" as {each.alias}" if each.alias else "")
    for module in dict.fromkeys(each.module for each in imports if each.name is not None):
        names = sorted((each.name for each in imports if each.module == module and each.name), key=_order)
        line = f"from {module} import {', '.join(names)}"
        if len(line) > _SHORTEST_LINE:
            line = "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])
        yield line


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
