"""Notion's blocks as Markdown, one block at a time, without the blocks below it."""

import re
from collections.abc import Callable
from typing import Any

from bizon.connectors.sources.notion.src.rich_text import (
    escaped,
    escaped_start,
    link,
    notion_link,
    plain_text,
    rich_text,
)

Json = dict[str, Any]


def markdown_of(block: Json, *, is_header: bool = False) -> str:
    """The Markdown of one block. A block that only holds others (columns, an original synced block) is empty. A
    type that is not known here is its text, else an HTML comment. ``is_header``: it is the header row of its table."""
    kind = block["type"]
    content = block.get(kind) or {}
    if kind == "table_row":
        return _table_row(content, is_header)
    render = _RENDERERS.get(kind)
    if render is not None:
        return render(content, block)
    return _text(content, block) or f"<!-- unsupported block: {content.get('block_type') or kind} -->"


def _text(content: Json, _block: Json) -> str:
    return _broken(escaped_start(_rich(content)))


def _rich(content: Json) -> str:
    return rich_text(content.get("rich_text") or content.get("title") or ())


def _broken(text: str, indent: str = "") -> str:
    """A text whose line breaks are kept; the lines after the first begin with ``indent``."""
    return text.replace("\n", f"  \n{indent}")


def _prefixed(prefix: str) -> Callable[[Json, Json], str]:
    """A list item: what follows its first line is indented."""
    return lambda content, _block: prefix + _broken(escaped_start(_rich(content)), " " * len(prefix))


def _heading(level: int) -> Callable[[Json, Json], str]:
    return lambda content, _block: f"{'#' * level} {_rich(content)}".replace("\n", " ").rstrip()


def _to_do(content: Json, _block: Json) -> str:
    return f"- [{'x' if content.get('checked') else ' '}] {_broken(_rich(content), '  ')}"


def _quote(content: Json, _block: Json) -> str:
    return "> " + _broken(escaped_start(_rich(content)), "> ")


def _callout(content: Json, _block: Json) -> str:
    icon = content.get("icon") or {}
    sign = f"{icon['emoji']} " if icon.get("type") == "emoji" else ""
    return f"> {sign}{_broken(_rich(content), '> ')}"


def _code(content: Json, _block: Json) -> str:
    text = plain_text(content.get("rich_text") or ())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = content.get("language") or ""
    name = "" if language == "plain text" else language.replace(" ", "-")
    caption = rich_text(content.get("caption") or ())
    return f"{fence}{name}\n{text}\n{fence}" + (f"\n\n{caption}" if caption else "")


def _equation(content: Json, _block: Json) -> str:
    return f"$$\n{content.get('expression', '')}\n$$"


def _media(content: Json, block: Json) -> str:
    """A link to a file, or an image. The link to a file of Notion works for an hour."""
    caption, url = content.get("caption") or (), _url(content)
    if block["type"] == "image":
        return "!" + (link(escaped(plain_text(caption)).replace("\n", " "), url) if url else "[]()")
    return link(rich_text(caption) or escaped(content.get("name") or block["type"]), url)


def _url(content: Json) -> str:
    kind = content.get("type", "")
    found = content.get(kind) if kind else None
    return str((found or {}).get("url") or content.get("url") or "")


def _bookmark(content: Json, _block: Json) -> str:
    url = str(content.get("url") or "")
    return link(rich_text(content.get("caption") or ()) or escaped(url), url)


def _link_to_page(content: Json, _block: Json) -> str:
    kind = content.get("type", "")
    return notion_link(f"Link to {kind.removesuffix('_id')}", content.get(kind) or "")


def _child(content: Json, block: Json) -> str:
    return notion_link(escaped(content.get("title") or "Untitled"), block["id"])


def _synced(content: Json, _block: Json) -> str:
    origin = content.get("synced_from")
    return notion_link("Synced block", origin["block_id"]) if origin else ""


def _table(content: Json, _block: Json) -> str:
    """A table without a header row begins with an empty one, since Markdown knows no other tables."""
    if content.get("has_column_header"):
        return ""
    width = content.get("table_width") or 1
    return _row([""] * width) + "\n" + _row(["---"] * width)


def _table_row(content: Json, is_header: bool) -> str:
    cells = [rich_text(cell).replace("|", "\\|").replace("\n", "<br>") for cell in content.get("cells") or ()]
    return _row(cells) + ("\n" + _row(["---"] * len(cells)) if is_header else "")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _constant(text: str) -> Callable[[Json, Json], str]:
    return lambda _content, _block: text


_RENDERERS: dict[str, Callable[[Json, Json], str]] = {
    "paragraph": _text,
    "heading_1": _heading(1),
    "heading_2": _heading(2),
    "heading_3": _heading(3),
    "heading_4": _heading(4),
    "bulleted_list_item": _prefixed("- "),
    "numbered_list_item": _prefixed("1. "),
    "to_do": _to_do,
    "toggle": _prefixed("- "),
    "quote": _quote,
    "callout": _callout,
    "code": _code,
    "equation": _equation,
    "divider": _constant("---"),
    "image": _media,
    "video": _media,
    "audio": _media,
    "file": _media,
    "pdf": _media,
    "bookmark": _bookmark,
    "embed": _bookmark,
    "link_preview": _bookmark,
    "link_to_page": _link_to_page,
    "child_page": _child,
    "child_database": _child,
    "synced_block": _synced,
    "table": _table,
    "template": _text,
    "tab": _text,
    "meeting_notes": _text,
    "transcription": _text,
    "column_list": _constant(""),
    "column": _constant(""),
    "breadcrumb": _constant(""),
    "table_of_contents": _constant("[TOC]"),
}
