"""Notion's rich text as Markdown."""

import re
from collections.abc import Sequence
from typing import Any

_MARKS = (("bold", "**", "**"), ("italic", "*", "*"), ("strikethrough", "~~", "~~"), ("underline", "<u>", "</u>"))
_SPECIAL = re.compile(r"[\\`*\[\]<]|(?<!\w)_|_(?!\w)|~(?=~)|(?<=~)~")
_AT_LINE_START = re.compile(r"^(\s*)(#{1,6}(?=\s)|[-+>](?=\s|$)|\d+(?=[.)]\s))", re.MULTILINE)
_URL_ESCAPES = str.maketrans({" ": "%20", "(": "%28", ")": "%29", "<": "%3C", ">": "%3E", "\n": ""})


def rich_text(parts: Sequence[dict[str, Any]]) -> str:
    """The Markdown of a rich text: annotations, links, mentions and equations; colours are left out."""
    return "".join(_part(each) for each in parts)


def plain_text(parts: Sequence[dict[str, Any]]) -> str:
    """The text without any formatting."""
    return "".join(each.get("plain_text", "") for each in parts)


def escaped(text: str) -> str:
    """Text in which Markdown finds no formatting, except at the beginning of a line."""
    return _SPECIAL.sub(lambda sign: f"\\{sign[0]}", text)


def escaped_start(markdown: str) -> str:
    """A paragraph in which Markdown finds no heading, list or quotation."""

    def masked(match: re.Match[str]) -> str:
        space, sign = match.groups()
        return f"{space}{sign}\\" if sign.isdigit() else f"{space}\\{sign}"

    return _AT_LINE_START.sub(masked, markdown)


def link(text: str, url: str) -> str:
    """A link; ``text`` is Markdown. Without a URL only the text."""
    return f"[{text}]({url.translate(_URL_ESCAPES)})" if url else text


def notion_link(text: str, object_id: str) -> str:
    """A link to a page, database or block of Notion."""
    return link(text, f"https://www.notion.so/{object_id.replace('-', '')}")


def code_span(text: str) -> str:
    """Inline code, in as many backticks as it takes."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _part(part: dict[str, Any]) -> str:
    annotations = part.get("annotations") or {}
    whole = str(part.get("plain_text", ""))
    text = whole.strip()
    before, after = whole[: len(whole) - len(whole.lstrip())], whole[len(whole.rstrip()) :]
    if part.get("type") == "equation":
        marked = f"${part['equation']['expression']}$"
    elif not text:
        return whole
    else:
        marked = code_span(text) if annotations.get("code") else escaped(text)
    for name, opening, closing in _MARKS:
        if annotations.get(name):
            marked = f"{opening}{marked}{closing}"
    return before + link(marked, _target(part)) + after


def _target(part: dict[str, Any]) -> str:
    """The URL that a part leads to; empty for none."""
    if part.get("href"):
        url = str(part["href"])
        return f"https://www.notion.so{url}" if url.startswith("/") else url
    mention = part.get("mention") or {}
    kind = mention.get("type")
    if kind in ("page", "database", "data_source"):
        return f"https://www.notion.so/{mention[kind]['id'].replace('-', '')}"
    if kind in ("link_preview", "link_mention"):
        found = mention[kind]
        return str(found.get("url") or found.get("href") or "")
    return ""
