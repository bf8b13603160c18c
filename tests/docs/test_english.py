"""The prose is plain English: docstrings, comments and messages of the package, and every page."""

from pathlib import Path

import pytest
from docs.english_rules import IDIOMS, OPENS_WITH_A_CLAUSE, breaches_in

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", ".claude/**/*.md")
EXAMPLES = ("examples/**/*.py", "examples/**/*.yml", "bizon/**/*.example.yml")
PROSE = [file for pattern in ("bizon/**/*.py", *PAGES, *EXAMPLES) for file in sorted(ROOT.glob(pattern))]
CAUGHT = (
    ("What a broker has delivered and is not told yet that it may forget", {OPENS_WITH_A_CLAUSE, "is told"}),
    ("What is of another job, of an older epoch, or came before is left out", {OPENS_WITH_A_CLAUSE, "is of"}),
    ("Of two objects at the same page that of the later start counts", {OPENS_WITH_A_CLAUSE, "that of"}),
    ("What pages wait in between producer and consumer", {OPENS_WITH_A_CLAUSE}),
    ("One sentence. Who ended it was not noted.", {OPENS_WITH_A_CLAUSE}),
    ("The broker is away, trying on", {"away", "trying on"}),
    ("The staging table is made anew.", {"anew"}),
    ("The offsets of the group are not told.", {"is told"}),
    ("Such pages are kept beside the state.", {"beside"}),
    ("It stops after so many pages.", {"so many"}),
    ("A destination that says no ends the run.", {"says no"}),
    ("The cursor decides, as ever.", {"as ever"}),
    ("Both sides run in turn.", {"in turn"}),
    ("The token is forgiven for a while.", {"a while"}),
    ("A record that is no JSON", {"no X"}),
    ("The run goes on behind the last checkpoint.", {"goes behind"}),
    ("A class of one's own", {"one's own"}),
    ("As the guide has it, ids are stable.", {"has it"}),
    ("Another run is at work.", {"at work"}),
    ("It waits for ever.", {"for ever"}),
    ("The next run mends it.", {"mend"}),
)
PLAIN = (
    "Deliveries not acknowledged yet.",
    "Messages of another job or an older epoch, and repeats, are skipped.",
    "When two objects start at the same page, the later epoch wins.",
    "The broker is unreachable; retrying.",
    "Pages that wait more than a second to be written are spooled next to the state file.",
    "Stop after this many pages.",
    "A destination that refuses ends the run.",
    "Where pages wait between producer and consumer.",
    "What does it cost? About a tenth.",
    "There is no second ledger, and it is no longer read.",
    "There are so many rows that they are counted in two steps.",
    "Of course it can be read from `what is no code`.",
)


@pytest.mark.parametrize("file", PROSE, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_reads_as_plain_english(file: Path) -> None:
    assert [str(breach) for breach in breaches_in(file)] == []


@pytest.mark.parametrize(("sentence", "rules"), CAUGHT, ids=[sentence for sentence, _ in CAUGHT])
def test_a_rule_catches_what_it_names(sentence: str, rules: set[str], tmp_path: Path) -> None:
    assert _broken_by(sentence, tmp_path) == rules


def test_every_rule_has_an_example() -> None:
    assert {rule for _, rules in CAUGHT for rule in rules} == {*IDIOMS, OPENS_WITH_A_CLAUSE}


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_sentences_pass(sentence: str, tmp_path: Path) -> None:
    assert _broken_by(sentence, tmp_path) == set()


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
    found = set()
    for name, text in forms.items():
        (folder / name).write_text(text)
        found.add(frozenset(breach.rule for breach in breaches_in(folder / name)))
    (rules,) = found
    return set(rules)
