"""AGENTS.md is true: every value, name and file that it mentions exists. CLAUDE.md adds the skills that exist."""

import ast
import re
from enum import StrEnum
from pathlib import Path

import pytest

from bizon.engine.backend.config import BackendTypes
from bizon.engine.queue.config import QueueTypes
from bizon.engine.runner.config import RunnerTypes
from bizon.source.auth.config import AuthType
from bizon.source.config import SourceSyncModes
from docs import llms_index

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
QUOTED = re.findall(r"`([^`\n]+)`", PROSE)
KINDS: dict[str, type[StrEnum]] = {
    "sync mode": SourceSyncModes,
    "runner": RunnerTypes,
    "queue": QueueTypes,
    "backend": BackendTypes,
    "authentication": AuthType,
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def values(kind: str) -> set[str]:
    (cell,) = [cells[1] for cells in rows("What exists") if cells[0] == kind]
    return set(re.findall(r"`([a-z0-9_]+)`", re.sub(r"\(the only[^)]*\)|\(one thread[^)]*\)", "", cell)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_lists_every_value_of_a_kind(kind: str) -> None:
    """The page once listed two of five destinations, and three of four backends."""
    assert values(kind) == {member.value for member in KINDS[kind]}


@pytest.mark.parametrize("cells", rows("Key abstractions"), ids=lambda cells: cells[0])
def test_a_base_class_is_where_the_page_says(cells: list[str]) -> None:
    name, path = cells[1].strip("`"), cells[2].strip("`")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("cells", rows("Where things are"), ids=lambda cells: cells[0])
def test_a_file_named_without_a_folder_is_in_the_folder_of_its_row(cells: list[str]) -> None:
    folder = (ROOT / re.findall(r"`([^`]+)`", cells[0])[0]).parent
    names = re.findall(r"`([a-z_]+\.py)`", cells[1])
    assert [name for name in names if not (folder / name).exists()] == []


def test_every_name_of_code_exists() -> None:
    """Classes, constants and dotted names; a name after a dot is a member of the class before it."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "bizon").rglob("*.py")))
    missing = []
    for text in QUOTED:
        name, _, member = text.removesuffix("()").partition(".")
        if not re.fullmatch(r"[A-Z]\w*[a-z]\w*", name) or (member and not member.isidentifier()):
            continue
        declared = re.search(rf"^(class {name}\b|{name} = )", sources, re.MULTILINE)
        if declared is None or (member and not re.search(rf"^    (def {member}\b|{member}:)", sources, re.MULTILINE)):
            missing.append(text)
    assert missing == []


def test_every_function_that_is_named_exists() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "bizon").rglob("*.py")))
    names = {text for text in QUOTED if re.fullmatch(r"[a-z]+_[a-z_]+", text)}
    known = {value for kind in KINDS for value in values(kind)} | {"tmp_path"}
    assert {name for name in names - known if not re.search(rf"\b{name}\b", sources)} == set()


def test_every_program_of_the_commands_exists() -> None:
    for block in re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = line.partition("#")[0].split()
            assert words[0] in ("make", "bizon", ".venv/bin/python", ".venv/bin/ruff"), line
            paths = [word for word in words if word.startswith("tests/")]
            assert all((ROOT / path).exists() for path in paths), line


def test_every_environment_variable_that_is_named_is_read() -> None:
    names = set(re.findall(r"`(BIZON_[A-Z_]+)", PROSE))
    assert names
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
    assert {name for name in names if f'"{name}"' not in code} == set()


def test_the_page_of_claude_imports_this_one_and_lists_the_skills() -> None:
    text = (ROOT / "CLAUDE.md").read_text(encoding="utf-8")
    assert text.startswith("@AGENTS.md\n")
    listed = re.findall(r"^\| `/([a-z-]+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(folder.name for folder in (ROOT / ".claude/skills").iterdir())


def test_the_page_is_short() -> None:
    assert TEXT.count("\n") < 160


def test_the_index_of_the_pages_is_current() -> None:
    """Remedy: make docs"""
    assert llms_index.INDEX.read_text(encoding="utf-8") == llms_index.render()


def test_the_index_names_every_page_once() -> None:
    listed = re.findall(r"^- \[.+?\]\((.+?)\)", llms_index.render(), re.MULTILINE)
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "AGENTS.md"]
    assert len(listed) == len(set(listed))
    assert {str(page.relative_to(ROOT)) for page in pages} <= set(listed)
