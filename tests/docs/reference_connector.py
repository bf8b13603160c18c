"""``docs/reference-connector.md``: the code of the Notion source, cut where a note explains what follows.

``python tests/docs/reference_connector.py --write`` replaces the committed page; a test compares it with the rendering.
The notes are in ``reference_connector_notes.py``.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reference_connector_notes import FILES, INTRODUCTION, OTHER_FILES

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "bizon/connectors/sources/notion"
PAGE = ROOT / "docs/reference-connector.md"
GENERATED = "<!-- Generated: python tests/docs/reference_connector.py --write -->"


class Cut(NamedTuple):
    """A place in a file, and the note in front of it."""

    line: int
    note: str


def render() -> str:
    """The page."""
    lines = ["# The reference connector", "", GENERATED, "", INTRODUCTION.strip(), ""]
    for path, (title, notes) in FILES.items():
        lines += [f"## {title}", "", f"`{(SOURCE / path).relative_to(ROOT)}`", ""]
        for note, code in parts_of(path, notes):
            lines += [note.strip(), "", f"```{'yaml' if path.endswith('.yml') else 'python'}", code, "```", ""]
    lines += ["## The rest", "", "| file | what |", "|---|---|"]
    lines += [f"| `{(SOURCE / path).relative_to(ROOT)}` | {what} |" for path, what in OTHER_FILES.items()]
    return "\n".join(lines) + "\n"


def parts_of(path: str, notes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each note with the code from its place to the next one. The note of the whole file has the name ``""``."""
    text = (SOURCE / path).read_text(encoding="utf-8").splitlines()
    places = _lines_of(ast.parse("\n".join(text))) if path.endswith(".py") else {}
    unknown = notes.keys() - places.keys() - {""}
    if unknown:
        raise LookupError(f"{path} has no {', '.join(sorted(unknown))}: adapt reference_connector_notes.py")
    cuts = sorted(Cut(places.get(name, 1), note) for name, note in notes.items())
    ends = [*(cut.line for cut in cuts[1:]), len(text) + 1]
    for cut, end in zip(cuts, ends, strict=True):
        yield cut.note, "\n".join(text[cut.line - 1 : end - 1]).strip("\n")


def _lines_of(tree: ast.Module) -> dict[str, int]:
    """The first line of every function, class and method, decorators included; methods as ``Class.method``."""
    found = {}
    kinds = (ast.FunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds):
            found[node.name] = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            for child in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(child, ast.FunctionDef):
                    line = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                    found[f"{node.name}.{child.name}"] = line
    return found


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(render(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale: python tests/docs/reference_connector.py --write")
