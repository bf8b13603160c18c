"""The map of docs/architecture.md is complete and true: it has the floors, doors and rooms of the code."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from architecture.floor_rules import DOORS, OPEN_TO_GUESTS, floor_of, imports_of

ROOT = Path(__file__).parents[2]
PACKAGE, DOCS = ROOT / "bizon", ROOT / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
MODULES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
PAGES_OF_INTERNALS = ("architecture.md", "internals.md", "internals-connectors.md")


def rows(head: str) -> list[list[str]]:
    """The cells of the table whose first column has this head."""
    table = re.search(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def spelled_out(name: str) -> Iterator[str]:
    """The names that braces stand for."""
    if braces := re.search(r"\{([^}]*)\}", name):
        for word in braces[1].split(","):
            yield from spelled_out(name[: braces.start()] + word + name[braces.end() :])
    else:
        yield name


FLOORS = [
    (pattern, int(cells[0][0]))
    for cells in rows("floor")
    for name in re.findall(r"`([^`]+)`", cells[1])
    for pattern in spelled_out(name)
]


def floor_on_the_page(path: str) -> int | None:
    """The floor by the rules above the table."""
    if path.rpartition("/")[2] in ("config.py", "__init__.py"):
        return 1 if path.endswith("config.py") else 0
    fitting = [(len(pattern), floor) for pattern, floor in FLOORS if fnmatch(path, pattern)]
    return max(fitting)[1] if fitting else None


def test_the_page_puts_every_module_on_its_floor() -> None:
    """The page missed a hundred modules: the table listed the names that somebody had remembered to add."""
    found = {path: (floor_on_the_page(path), floor_of(path)) for path in MODULES}
    assert {path: floors for path, floors in found.items() if floors[0] != floors[1]} == {}


def test_every_name_of_the_table_of_floors_is_a_module() -> None:
    assert [pattern for pattern, _ in FLOORS if not any(fnmatch(path, pattern) for path in MODULES)] == []


def test_the_page_lists_every_door_and_no_other() -> None:
    listed = set()
    for cells in rows("door"):
        file, *owners = re.findall(r"`([^`]+)`", cells[0])
        listed |= {(file, owner) for owner in owners or [""]}
    assert listed == set(DOORS)


def test_every_package_has_a_room() -> None:
    rooms = {cells[0].strip("`").rstrip("/") for cells in rows("room of `bizon/`")}
    packages = {path.rpartition("/")[0] for path in MODULES if not path.endswith("__init__.py")} - {""}
    wanted = {"/".join(name.split("/")[: 2 if name.startswith("engine/") else 1]) for name in packages}
    assert rooms == wanted


def test_guests_see_one_module_of_the_engine_and_only_as_a_type() -> None:
    open_rooms = [name for name in OPEN_TO_GUESTS.split() if name.startswith("engine/")]
    assert open_rooms == ["engine/backend/backend.py"]
    guests = [item for path in sorted((PACKAGE / "connectors").rglob("*.py")) for item in imports_of(PACKAGE, path)]
    seen = {(item.target, item.typing_only) for item in guests if item.target and item.target.startswith("engine/")}
    assert seen == {("engine/backend/backend.py", True)}


@pytest.mark.parametrize("page", PAGES_OF_INTERNALS)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {name for quoted in re.findall(r"`([\w/{},*]+\.py)`", text) for name in spelled_out(quoted)}
    known = [f"/{path.relative_to(ROOT).as_posix()}" for path in (*PACKAGE.rglob("*.py"), *ROOT.glob("tests/**/*.py"))]
    assert named
    assert {name for name in named if not any(fnmatch(path, f"*/{name}") for path in known)} == set()


@pytest.mark.parametrize("page", PAGES_OF_INTERNALS)
def test_every_name_of_code_on_a_page_exists(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+_\w+|[A-Z][a-z]+[A-Z]\w+)`", text))
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    assert named - set(re.findall(r"\w+", code)) - {"OPEN_TO_GUESTS"} == set()


def test_the_map_is_one_page() -> None:
    """It had grown to 337 lines."""
    assert len(PAGE.splitlines()) <= 150
    assert len(PAGE.split()) <= 1800
