"""Blocks as Markdown."""

from typing import Any

import pytest

from bizon.connectors.sources.notion.src.markdown import _RENDERERS, markdown_of
from bizon.connectors.sources.notion.src.rich_text import rich_text

PAGE = "1a44be12-0953-4631-b498-9e5817518db8"
LINK = "https://www.notion.so/1a44be1209534631b4989e5817518db8"


def part(text: str, href: str | None = None, **annotations: bool) -> dict[str, Any]:
    return {"type": "text", "text": {"content": text}, "plain_text": text, "href": href, "annotations": annotations}


def mention(kind: str, value: dict[str, Any], text: str, href: str | None = None) -> dict[str, Any]:
    return {"type": "mention", "mention": {"type": kind, kind: value}, "plain_text": text, "href": href}


def equation(expression: str) -> dict[str, Any]:
    return {"type": "equation", "equation": {"expression": expression}, "plain_text": expression, "annotations": {}}


RICH = {
    "plain": ([part("Hello, world_wide snake_case 1. # -")], "Hello, world_wide snake_case 1. # -"),
    "bold": ([part("a "), part("b", bold=True)], "a **b**"),
    "italic": ([part("b", italic=True)], "*b*"),
    "struck": ([part("b", strikethrough=True)], "~~b~~"),
    "underlined": ([part("b", underline=True)], "<u>b</u>"),
    "code": ([part("a*b", code=True)], "`a*b`"),
    "code with backticks": ([part("`a", code=True)], "`` `a ``"),
    "all at once": ([part("b", bold=True, italic=True, strikethrough=True)], "~~***b***~~"),
    "spaces stay outside": ([part(" b ", bold=True), part("c")], " **b** c"),
    "only spaces": ([part("  ", bold=True)], "  "),
    "link": ([part("b", "https://x.org/a b(c)")], "[b](https://x.org/a%20b%28c%29)"),
    "link in bold": ([part("b", "https://x.org", bold=True)], "[**b**](https://x.org)"),
    "link to a page": ([part("b", "/1a44be12")], "[b](https://www.notion.so/1a44be12)"),
    "signs": ([part("*a* _b_ `c` [d] <e> ~~f~~ \\")], "\\*a\\* \\_b\\_ \\`c\\` \\[d\\] \\<e> \\~\\~f\\~\\~ \\\\"),
    "user": ([mention("user", {"id": "u"}, "@Ada")], "@Ada"),
    "page": ([mention("page", {"id": PAGE}, "Plan")], f"[Plan]({LINK})"),
    "database": ([mention("database", {"id": PAGE}, "Tasks")], f"[Tasks]({LINK})"),
    "date": ([mention("date", {"start": "2026-01-01"}, "2026-01-01 → 2026-01-02")], "2026-01-01 → 2026-01-02"),
    "preview": ([mention("link_preview", {"url": "https://x.org"}, "x")], "[x](https://x.org)"),
    "equation": ([part("so "), equation("a_1*b")], "so $a_1*b$"),
}


@pytest.mark.parametrize(("parts", "expected"), RICH.values(), ids=RICH)
def test_rich_text(parts, expected) -> None:
    assert rich_text(parts) == expected


def of(kind: str, text: str = "text", **content: Any) -> dict[str, Any]:
    return {"id": PAGE, "type": kind, kind: {"rich_text": [part(text)], **content}}


def media(kind: str, **content: Any) -> dict[str, Any]:
    return {"id": PAGE, "type": kind, kind: content}


EXTERNAL = {"type": "external", "external": {"url": "https://x.org/a"}}
HOSTED = {"type": "file", "file": {"url": "https://s3/a", "expiry_time": "2026-01-01"}}
BLOCKS = {
    "paragraph": (of("paragraph"), "text"),
    "paragraph of two lines": (of("paragraph", "a\nb"), "a  \nb"),
    "paragraph that looks like a heading": (of("paragraph", "# no"), "\\# no"),
    "paragraph that looks like a list": (of("paragraph", "- no\n1. no"), "\\- no  \n1\\. no"),
    "empty paragraph": (media("paragraph", rich_text=[]), ""),
    **{f"heading_{level}": (of(f"heading_{level}"), f"{'#' * level} text") for level in range(1, 5)},
    "bulleted_list_item": (of("bulleted_list_item", "a\nb"), "- a  \n  b"),
    "numbered_list_item": (of("numbered_list_item", "a\nb"), "1. a  \n   b"),
    "to_do": (of("to_do", checked=False), "- [ ] text"),
    "to_do, done": (of("to_do", checked=True), "- [x] text"),
    "toggle": (of("toggle"), "- text"),
    "quote": (of("quote", "a\nb"), "> a  \n> b"),
    "callout": (of("callout", icon={"type": "emoji", "emoji": "💡"}), "> 💡 text"),
    "callout with a picture": (of("callout", icon=EXTERNAL), "> text"),
    "code": (of("code", "a = `1`", language="python", caption=[part("c")]), "```python\na = `1`\n```\n\nc"),
    "code with a fence": (of("code", "```", language="plain text"), "````\n```\n````"),
    "equation": (media("equation", expression="e=mc^2"), "$$\ne=mc^2\n$$"),
    "divider": (media("divider"), "---"),
    "image": (media("image", caption=[part("a [cat]")], **EXTERNAL), "![a \\[cat\\]](https://x.org/a)"),
    "video": (media("video", caption=[part("c", bold=True)], **EXTERNAL), "[**c**](https://x.org/a)"),
    "audio": (media("audio", **HOSTED), "[audio](https://s3/a)"),
    "file": (media("file", name="a.zip", **HOSTED), "[a.zip](https://s3/a)"),
    "pdf": (media("pdf", caption=[], **HOSTED), "[pdf](https://s3/a)"),
    "bookmark": (media("bookmark", url="https://x.org", caption=[]), "[https://x.org](https://x.org)"),
    "embed": (media("embed", url="https://x.org", caption=[part("c")]), "[c](https://x.org)"),
    "link_preview": (media("link_preview", url="https://x.org"), "[https://x.org](https://x.org)"),
    "link_to_page": (media("link_to_page", type="page_id", page_id=PAGE), f"[Link to page]({LINK})"),
    "child_page": (media("child_page", title="Plan"), f"[Plan]({LINK})"),
    "child_database": (media("child_database", title=""), f"[Untitled]({LINK})"),
    "synced_block": (media("synced_block", synced_from=None), ""),
    "synced copy": (media("synced_block", synced_from={"block_id": PAGE}), f"[Synced block]({LINK})"),
    "table": (media("table", table_width=2, has_column_header=True), ""),
    "table without header": (media("table", table_width=2, has_column_header=False), "|  |  |\n| --- | --- |"),
    "table_row": (media("table_row", cells=[[part("a|b\nc")], []]), "| a\\|b<br>c |  |"),
    "template": (of("template"), "text"),
    "tab": (media("tab"), ""),
    "meeting_notes": (media("meeting_notes", title=[part("Weekly")]), "Weekly"),
    "transcription": (media("transcription", title=[part("Weekly")]), "Weekly"),
    "column_list": (media("column_list"), ""),
    "column": (media("column"), ""),
    "breadcrumb": (media("breadcrumb"), ""),
    "table_of_contents": (media("table_of_contents"), "[TOC]"),
    "unsupported": (media("unsupported", block_type="ai_block"), "<!-- unsupported block: ai_block -->"),
    "a type of the future": (of("hologram"), "text"),
    "a type of the future without text": (media("hologram"), "<!-- unsupported block: hologram -->"),
}


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_a_block(block, expected) -> None:
    assert markdown_of(block) == expected


def test_every_type_has_an_example() -> None:
    known = {*_RENDERERS, "table_row"}
    assert len(known) >= 36
    assert known <= set(BLOCKS)


def test_a_header_row_is_followed_by_a_line(workspace, reader) -> None:
    page = workspace.add_page()
    table = workspace.add_block(page, "table", {"table_width": 1, "has_column_header": True})
    for name in ("head", "body"):
        workspace.add_block(table, "table_row", {"cells": [[part(name)]]})
    records = reader("blocks_markdown", page_ids=[page], page_size=1).read()
    assert [record.data["markdown"] for record in records] == ["", "| head |\n| --- |", "| body |"]
