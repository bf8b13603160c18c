"""``llms.txt``, the index of the documentation for assistants: each page with its title and its first sentence.

``python tests/docs/llms_index.py --write`` replaces the committed file; a test compares it with the rendering.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "llms.txt"
SECTIONS = (
    ("Start here", ("README.md", "docs/tutorial.md", "docs/architecture.md", "docs/guarantees.md")),
    ("Write a connector", ("docs/ai-*.md", "docs/reference-connector.md", "docs/contributing/adding-*.md")),
    ("Use it", ("docs/guides/*.md", "docs/deployment.md", "docs/security.md", "docs/performance.md")),
    ("Connectors", ("docs/sources/*.md", "docs/destinations/*.md")),
    ("Reference", ("docs/reference/*.md",)),
    ("Work on bizon", ("AGENTS.md", "docs/**/*.md", "SECURITY.md")),
    ("Optional", ("CHANGELOG.md",)),
)
_BLOCK = re.compile(r"\n\s*\n")
_NOT_PROSE = ("#", "<!--", "|", "```", "-", "[!")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def render() -> str:
    """The index. A page is in the first section that one of its patterns fits."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"# {project['name']}", "", f"> {project['description']}"]
    listed: set[Path] = set()
    for title, patterns in SECTIONS:
        pages = [page for pattern in patterns for page in sorted(ROOT.glob(pattern)) if page not in listed]
        pages = list(dict.fromkeys(pages))
        listed.update(pages)
        if pages:
            lines += ["", f"## {title}", "", *map(_entry, pages)]
    return "\n".join(lines) + "\n"


def _entry(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    sentence = next(_sentences(text), "")
    name = title[1] if title else page.stem
    return f"- [{name}]({page.relative_to(ROOT).as_posix()})" + (f": {sentence}" if sentence else "")


def _sentences(text: str) -> Iterator[str]:
    """The first sentence of each paragraph, on one line, without links."""
    for block in _BLOCK.split(text):
        if not block.strip().startswith(_NOT_PROSE) and not block.strip()[:1].isdigit():
            line = _LINK.sub(r"\1", " ".join(block.split()))
            yield re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0].rstrip(":")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        INDEX.write_text(render(), encoding="utf-8")
    elif INDEX.read_text(encoding="utf-8") != render():
        sys.exit("llms.txt is stale: make docs")
