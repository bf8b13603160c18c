"""The documentation as data: pages, their fenced blocks, and a copy of the package to run them on."""

import importlib.util
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import commands
import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "AGENTS.md", "SECURITY.md", "docs/**/*.md", "examples/**/*.md", ".claude/**/*.md", "CHANGELOG.md")
VARIABLE = re.compile(r"(?<!\$)\$\{env://(\w+)\}|\b(BIZON_ENV_\w+)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language, in order."""
        return [body for found, body in FENCE.findall(self.text) if found == language]

    def block(self, language: str, containing: str) -> str:
        """The first block of a language that contains a text."""
        return next(body for body in self.blocks(language) if containing in body)

    @property
    def prose(self) -> str:
        """The text without the fenced blocks."""
        return FENCE.sub("", self.text)


def variables_in(pipeline: str) -> set[str]:
    """The environment variables that the text of a pipeline refers to."""
    return {inline or whole for inline, whole in VARIABLE.findall(pipeline)}


class Package:
    """A copy of the package that a test may change; commands run in a separate folder next to it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self.work = folder / "work"
        shutil.copytree(ROOT / "bizon", self.root / "bizon")  # with its bytecode: a child then starts sooner
        self.work.mkdir()
        self.env = {**os.environ, "PYTHONPATH": str(self.root)}

    def write(self, path: str, text: str) -> Path:
        """Create a file in the tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def python(self, *arguments: str, expect: int = 0, timeout: float = 60) -> str:
        """Run Python on the copy; returns standard output. ``expect``: the exit code."""
        done = commands.run(
            [sys.executable, *arguments],
            cwd=self.work,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def bizon(self, *arguments: str, expect: int = 0) -> str:
        """Run the command on the copy."""
        return self.python("-m", "bizon", *arguments, expect=expect)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    """Every page of the documentation."""
    return [Page(path) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


@pytest.fixture(scope="session")
def source_guide() -> Page:
    return Page(ROOT / "docs/contributing/adding-sources.md")


@pytest.fixture(scope="session")
def destination_guide() -> Page:
    return Page(ROOT / "docs/contributing/adding-destinations.md")


@pytest.fixture(scope="session")
def destination_templates() -> Page:
    return Page(ROOT / "docs/ai-destination-guide.md")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The module that renders the reference pages."""
    spec = importlib.util.spec_from_file_location("docs_reference", Path(__file__).with_name("reference.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
