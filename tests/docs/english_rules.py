"""Patterns that plain English rules out: ``python english_rules.py FILE...`` prints each place that has one.

Prose is every docstring, comment and message of a Python file and the names of its tests, every comment and message of
a Makefile, and the text of a Markdown file outside its code.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

OPENING = re.compile(r"(?!Of course\b)(?:What|Of|Who|Whose|Whoever|Whatever)\b(?![^.!?]*\?)")
"""A sentence that opens with a free relative clause or a genitive. Questions may."""

OPENS_WITH_A_CLAUSE = "opens with a clause"
IDIOMS = {
    "anew": r"\banew\b",
    "beside": r"\bbeside\b",
    "as ever": r"\bas ever\b",
    "in turn": r"\bin turns?\b",
    "that of": r"\b(?:that|those) of\b",
    "is told": r"\btold\b",
    "a while": r"\ba while\b",
    "no X": r"(?<!there )(?<!There )\b(?:is|are|was|were) no\b(?!\s+(?:longer|more|fewer|less|matter|need|way)\b)",
    "goes behind": r"\b(?:go|goes|going|went|gone|begin|begins|resume|resumes) (?:on )?behind\b",
    "away": r"\b(?:is|are|was|were|stays?) away\b",
    "so many": r"\bso (?:many|much)\b(?!(?: \w+)? that\b)",
    "says no": r"\b(?:say|says|said) no\b",
    "is of": r"\b(?:is|are|was|were) of (?:an?|another|its|their|the|this|that|each)\b",
    "one's own": r"\bone's own\b",
    "has it": r"\bas \S+(?: \S+)? has it\b",
    "at work": r"\bat work\b",
    "for ever": r"\bfor ever\b",
    "mend": r"\bmend(?:s|ed|ing)?\b",
    "trying on": r"\btrying on\b",
}
_IDIOMS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in IDIOMS.items()}
_SENTENCE = re.compile(r"(?:^|[.!?:]\s+|\n\s*\n\s*|\n\s*[-*|]\s+|\|\s+)(?=([A-Z][^\n]*))")
_CODE = re.compile(r"```.*?```|``[^`]*``|`[^`]*`|<[!/a-zA-Z][^>]*>|\]\([^)]*\)", re.DOTALL)
_INDENTATION = re.compile(r"\n[ \t]+")
_MESSAGE = re.compile(r""""([^"]*)"|'([^']*)'""")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FEWEST_WORDS = 3  # of a string that is prose


class Breach(NamedTuple):
    """A place, and what is wrong with it."""

    file: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


def breaches_in(file: Path) -> Iterator[Breach]:
    """Every breach in a file. Anything but Python and a Makefile is read as Markdown."""
    source = file.read_text(encoding="utf-8")
    for line, text in _passages(file, source):
        yield from _breaches(str(file), line, _without_code(text))


def _breaches(file: str, line: int, text: str) -> Iterator[Breach]:
    text = _INDENTATION.sub("\n", text)
    for match in _SENTENCE.finditer(text):
        if OPENING.match(match[1]):
            yield _breach(file, line, OPENS_WITH_A_CLAUSE, text, match.start(1))
    for rule, pattern in _IDIOMS.items():
        for match in pattern.finditer(re.sub(r"\n(?!\n)", " ", text)):
            yield _breach(file, line, rule, text, match.start())


def _breach(file: str, line: int, rule: str, text: str, at: int) -> Breach:
    shown = " ".join(text[max(0, at - 30) : at + 60].split())
    return Breach(file, line + text.count("\n", 0, at), rule, shown)


def _without_code(text: str) -> str:
    """The text with code replaced by a word, lines kept."""
    return _CODE.sub(lambda code: "code" + "\n" * code[0].count("\n"), text)


def _passages(file: Path, source: str) -> Iterable[tuple[int, str]]:
    """Each text of a file that is read by itself, with its line."""
    if file.suffix == ".py":
        return _passages_of_python(source)
    return _passages_of_makefile(source) if file.name == "Makefile" else [(1, source)]


def _passages_of_makefile(source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        code, _, comment = line.partition("#")
        yield number, comment.lstrip("# ")
        for match in _MESSAGE.finditer(code):
            yield number, match[1] or match[2] or ""


def _passages_of_python(source: str) -> Iterator[tuple[int, str]]:
    yield from _comments(source)
    nodes = list(ast.walk(ast.parse(source)))
    inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            name := name_of_test(node.name)
        ):
            yield node.lineno, name
        if id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "code" for part in node.values)
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if len(text.split()) >= _FEWEST_WORDS:
            yield node.lineno, text


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Each comment; lines that follow each other at the same column are one comment."""
    first, previous, lines = 0, (0, 0), []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.string.startswith(("# noqa", "# type:")):
            continue
        row, column = token.start
        if lines and (row - 1, column) != previous:
            yield first, "\n".join(lines)
            lines = []
        first, previous = (first if lines else row), (row, column)
        lines.append(token.string.lstrip("# "))
    if lines:
        yield first, "\n".join(lines)


def name_of_test(name: str) -> str:
    """The sentence in the name of a test or of a class of tests; empty for other names."""
    if name.startswith("test_"):
        return name.removeprefix("test_").replace("_", " ").capitalize()
    return _CAPITAL.sub(" ", name.removeprefix("Test")).capitalize() if name.startswith("Test") else ""


if __name__ == "__main__":
    found = [breach for name in sys.argv[1:] for breach in breaches_in(Path(name))]
    print(*found, sep="\n")
    print(f"{len(found)} breaches")
    sys.exit(bool(found))
