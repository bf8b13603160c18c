"""The prose is plain English: docstrings, comments, messages, names of tests, the Makefile and every page."""

from pathlib import Path

import pytest
from docs.english_examples import CAUGHT, NAMES, PLAIN, WRAPPED
from docs.english_rules import IDIOMS, OPENS_WITH_A_CLAUSE, breaches_in

ROOT = Path(__file__).parents[2]
CODE = ("bizon/**/*.py", "tests/**/*.py", "benchmarks/*.py", "benchmarks/[!.]*/*.py", "Makefile")
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", ".claude/**/*.md")
EXAMPLES = ("examples/**/*.py", "examples/**/*.yml", "bizon/**/*.example.yml")
EXAMPLES_OF_RULES = Path(__file__).with_name("english_examples.py")
PROSE = {file for pattern in (*CODE, *PAGES, *EXAMPLES) for file in ROOT.glob(pattern)} - {EXAMPLES_OF_RULES}
FOLDER_DEPTH = 2


def folder_of(file: Path) -> str:
    return "/".join(file.relative_to(ROOT).parts[:-1][:FOLDER_DEPTH]) or "."


@pytest.mark.parametrize("folder", sorted({folder_of(file) for file in PROSE}))
def test_a_folder_reads_as_plain_english(folder: str) -> None:
    files = sorted(file for file in PROSE if folder_of(file) == folder)
    assert [str(breach) for file in files for breach in breaches_in(file)] == []


def test_tests_benchmarks_and_the_makefile_are_read() -> None:
    read = {str(file.relative_to(ROOT)) for file in PROSE}
    assert {
        "tests/docs/test_english.py",
        "tests/docs/english_rules.py",
        "benchmarks/bench.py",
        "benchmarks/report.py",
        "Makefile",
    } <= read


@pytest.mark.parametrize(("sentence", "rules"), CAUGHT, ids=[sentence for sentence, _ in CAUGHT])
def test_a_rule_catches_what_it_names(sentence: str, rules: set[str], tmp_path: Path) -> None:
    assert _broken_by(sentence, tmp_path) == rules


def test_every_rule_has_an_example() -> None:
    assert {rule for _, rules in CAUGHT for rule in rules} == {*IDIOMS, OPENS_WITH_A_CLAUSE}


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_sentences_pass(sentence: str, tmp_path: Path) -> None:
    assert _broken_by(sentence, tmp_path) == set()


@pytest.mark.parametrize(("definition", "rules"), NAMES)
def test_the_name_of_a_test_is_prose(definition: str, rules: set[str], tmp_path: Path) -> None:
    file = tmp_path / "test_module.py"
    file.write_text(definition)
    assert {breach.rule for breach in breaches_in(file)} == rules


@pytest.mark.parametrize("text", WRAPPED)
def test_a_phrase_over_two_lines_is_caught(text: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(text)
    assert [breach.rule for breach in breaches_in(file)] == ["for ever"]


def _broken_by(sentence: str, folder: Path) -> set[str]:
    """The rules that a sentence breaks, the same in every place where prose stands."""
    forms = {
        "page.md": f"# Title\n\n{sentence}\n",
        "list.md": f"* Some text.\n* {sentence}\n",
        "table.md": f"| name | meaning |\n|---|---|\n| x <= 3 | {sentence} |\n",
        "docstring.py": f'def function():\n    """First.\n\n    {sentence}\n    """\n',
        "comment.py": f"x = 1  # {sentence}\n",
        "message.py": f'x = f"{sentence} {{1}}"\n',
    }
    makefiles = (f"x := y  # {sentence}\n", f"x: ## {sentence}\n", f'x:\n\t@echo "{sentence}"\n')
    found = set()
    for name, text in (*forms.items(), *(("Makefile", text) for text in makefiles)):
        (folder / name).write_text(text)
        found.add(frozenset(breach.rule for breach in breaches_in(folder / name)))
    (rules,) = found
    return set(rules)
