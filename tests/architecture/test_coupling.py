"""The cost of understanding a module: its imports and its length. The bounds only go down."""

from pathlib import Path
from statistics import mean, median

from architecture.floor_rules import imports_of

PACKAGE = Path(__file__).parents[2] / "bizon"
MOST_IMPORTS = 3.3  # modules of bizon that a module imports when it runs, on average
MEDIAN_LINES = 95
MOST_LINES = 260


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


def test_a_module_imports_few_others() -> None:
    counts = {module: len(imported_by(PACKAGE, module)) for module in modules(PACKAGE)}
    worst = sorted(counts, key=lambda module: counts[module], reverse=True)[:10]
    shown = [f"{module.relative_to(PACKAGE).as_posix()}: {counts[module]}" for module in worst]
    assert mean(counts.values()) <= MOST_IMPORTS, "\n".join(shown)


def test_modules_are_short() -> None:
    lengths = [length(module) for module in modules(PACKAGE)]
    assert median(lengths) <= MEDIAN_LINES
    assert max(lengths) <= MOST_LINES


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
