"""The code of the two guides to sources passes every check of the project, as it is printed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.conftest import ROOT, variables_in
from docs.connector_guide_code import CHOICES, source_with, template
from docs.guide_code import BY_NAME, MODULE, SNIPPETS, module_with, signed_module
from inner import TypeChecker

AT = "bizon/connectors/sources/myapi"
TEST = "tests/connectors/sources/myapi/test_myapi.py"
ELSEWHERE = (
    "def test_the_token_of",
    "def test_each_user_has_all_orders",
    "class SignedRequests(",
    "return SignedRequests(",
    "JsonLines(response.content",
    "case stream:",
)
IMPORTS = "I001,F401"  # unsorted and unused ones: the tests put more snippets into a file than a reader does


@pytest.fixture
def tree(tmp_path: Path, source_guide) -> Path:
    """A project with the files of the guide, and one with all of its snippets."""
    root = tmp_path / "tree"
    files = {
        f"{AT}/src/__init__.py": "",
        f"{AT}/src/source.py": source_guide.block("python", MODULE),
        TEST: source_guide.block("python", "SourceConformance"),
        "bizon/connectors/sources/acme/src/source.py": template(),
        "snippets/snippets.py": module_with(source_guide, *BY_NAME),
        "snippets/signed.py": signed_module(source_guide),
        **{f"snippets/acme_{choice}.py": source_with(choice) for choice in CHOICES.values()},
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for part in ("common", "source", "testing"):  # ruff then knows that they are our own
        if not (root / "bizon" / part).exists():
            (root / "bizon" / part).symlink_to(ROOT / "bizon" / part)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_formatted(tree):
    run("ruff", "format", "--check", "--diff", "bizon/connectors", "tests", "snippets", cwd=tree)


def test_it_has_no_lint(tree):
    run("ruff", "check", "bizon/connectors", "tests", cwd=tree)
    run("ruff", "check", "snippets", "--ignore", IMPORTS, cwd=tree)


@pytest.mark.timeout(600)  # without the cache mypy reads everything that the guide imports
def test_its_types_are_right(tree, types: TypeChecker):
    """``no-any-return`` and a union of records used to fail."""
    sources = sorted((tree / "bizon/connectors/sources").glob("*/src/source.py"))
    types.check(*sources, *sorted((tree / "snippets").glob("*.py")))


def test_make_docs_puts_it_into_the_reference(package, tree):
    assert tree == package.root
    for path in ("tests/docs/reference.py", "docs/reference/config.md", "docs/reference/cli.md"):
        package.write(path, (ROOT / path).read_text(encoding="utf-8"))
    package.python(str(package.root / "tests/docs/reference.py"), "--write")
    assert "### `source (name: myapi)`" in (package.root / "docs/reference/config.md").read_text(encoding="utf-8")


def test_its_example_refers_to_variables_that_the_test_of_the_examples_sets(source_guide):
    example = source_guide.block("yaml", "name: myapi_to_file")
    assert variables_in(example) == {"MYAPI_URL", "BIZON_ENV_MYAPI_TOKEN"}
    assert variables_in("python: x = '$${env://KEPT}'") == set()


def test_every_block_of_the_guide_is_tested(source_guide):
    known = (MODULE, "SourceConformance", *ELSEWHERE, *(snippet.shows for snippet in SNIPPETS))
    assert [block for block in source_guide.blocks("python") if not any(text in block for text in known)] == []
    assert len(source_guide.blocks("python")) == len(known)
