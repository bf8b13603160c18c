"""The cost of understanding a module: its imports, its length, its functions. The bounds only go down."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

import pytest
from architecture.floor_rules import imports_of

PACKAGE = Path(__file__).parents[2] / "bizon"
MOST_IMPORTS = 3.3  # modules of bizon that a module imports when it runs, on average
MEDIAN_LINES = 95
MOST_LINES = 260
MOST_LINES_OF_A_FUNCTION = 45  # from def to its last line
MOST_NESTED = 4  # blocks around a statement of a function
LONG = {"destination/destination.py: get_destination"}  # the contract's factory: one branch per destination
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


def modules(package: Path) -> list[Path]:
    """The modules of a package that have content."""
    return [path for path in sorted(package.rglob("*.py")) if path.read_text(encoding="utf-8").strip()]


def imported_by(package: Path, module: Path) -> set[str]:
    """The modules of the package that one of them imports at run time, also inside its functions; an import that only
    a type checker sees does not count."""
    own = module.relative_to(package).as_posix()
    root = "__init__.py"
    return {
        item.target
        for item in imports_of(package, module)
        if item.target and not item.typing_only and item.target not in (own, root)
    }


def length(module: Path) -> int:
    return len(module.read_text(encoding="utf-8").splitlines())


def functions(package: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a package, methods and functions inside functions included, and its place and name."""
    for module in modules(package):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, FUNCTIONS):
                yield f"{module.relative_to(package).as_posix()}: {node.name}", node


def lines_of(function: ast.AST) -> int:
    """The lines of a function, without its decorators."""
    assert isinstance(function, FUNCTIONS)
    return (function.end_lineno or function.lineno) - function.lineno + 1


def nesting(node: ast.AST) -> int:
    """How many blocks stand inside each other. An ``elif`` is not inside its ``if``, and a function inside a function
    is measured by itself."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def too_long(package: Path) -> set[str]:
    """The functions above the bound."""
    return {name for name, function in functions(package) if lines_of(function) > MOST_LINES_OF_A_FUNCTION}


def too_deep(package: Path) -> set[str]:
    """The functions above the bound."""
    return {name for name, function in functions(package) if nesting(function) > MOST_NESTED}


def test_a_module_imports_few_others() -> None:
    counts = {module: len(imported_by(PACKAGE, module)) for module in modules(PACKAGE)}
    worst = sorted(counts, key=lambda module: counts[module], reverse=True)[:10]
    shown = [f"{module.relative_to(PACKAGE).as_posix()}: {counts[module]}" for module in worst]
    assert mean(counts.values()) <= MOST_IMPORTS, "\n".join(shown)


def test_modules_are_short() -> None:
    lengths = [length(module) for module in modules(PACKAGE)]
    assert median(lengths) <= MEDIAN_LINES
    assert max(lengths) <= MOST_LINES


def test_functions_are_short() -> None:
    assert too_long(PACKAGE) == LONG


def test_functions_are_not_nested_deeply() -> None:
    assert too_deep(PACKAGE) == set()


def test_long_functions_are_found(tmp_path: Path) -> None:
    fits, breach = ("    pass\n" * lines for lines in (MOST_LINES_OF_A_FUNCTION - 1, MOST_LINES_OF_A_FUNCTION))
    (tmp_path / "a.py").write_text(
        f"def fits():\n{fits}\nasync def breach():\n{breach}\n"
        f"class A:\n    @staticmethod\n    def method():\n{breach.replace('    ', '        ')}"
    )
    assert too_long(tmp_path) == {"a.py: breach", "a.py: method"}


@pytest.mark.parametrize(
    "blocks",
    [
        ["if a:", "for b in c:", "while d:", "with e:"],
        ["async for a in b:", "async with c:", "if d:", "for e in f:"],
        ["match a:\n case 1:", "if b:", "with c:", "if d:"],
        ["try:\n pass\nexcept A:", "for b in c:", "while d:", "if e:"],
        ["try:\n pass\nexcept* A:", "for b in c:", "while d:", "if e:"],
    ],
)
def test_deep_functions_are_found(tmp_path: Path, blocks: list[str]) -> None:
    for name, given in (("fits", blocks), ("breach", [*blocks, "if x:"])):
        (tmp_path / f"{name}.py").write_text(nested(given))
    assert too_deep(tmp_path) == {"breach.py: f"}


def nested(blocks: list[str]) -> str:
    """A function with these blocks inside each other."""
    text, indent = "async def f():\n", " "
    for block in blocks:
        lines = block.split("\n")
        text += "".join(f"{indent}{line}\n" for line in lines)
        indent += " " * (len(lines[-1]) - len(lines[-1].lstrip()) + 1)
    return f"{text}{indent}pass\n"


def test_elif_and_functions_inside_do_not_nest(tmp_path: Path) -> None:
    branches = "".join(f"    elif a == {number}:\n        pass\n" for number in range(9))
    inside = "    if a:\n        if a:\n            def g():\n" + " " * 16 + "with a:\n" + " " * 20 + "if a:\n"
    (tmp_path / "a.py").write_text(f"def f():\n    if a:\n        pass\n{branches}\ndef h():\n{inside}{' ' * 24}pass\n")
    depths = {name: nesting(function) for name, function in functions(tmp_path)}
    assert depths == {"a.py: f": 1, "a.py: h": 2, "a.py: g": 2}


def test_imports_are_counted(tmp_path: Path) -> None:
    package = tmp_path / "bizon"
    package.mkdir()
    for name in ("__init__", "a", "b", "c", "d"):
        (package / f"{name}.py").touch()
    (package / "e.py").write_text(
        "import os\nfrom typing import TYPE_CHECKING\nimport bizon\nfrom bizon import a\nfrom bizon.b import x, y\n"
        "import bizon.b\nif TYPE_CHECKING:\n    import bizon.c\n\ndef f():\n    from bizon.d import z\n"
    )
    assert imported_by(package, package / "e.py") == {"a.py", "b.py", "d.py"}
    assert [path.name for path in modules(package)] == ["e.py"]
