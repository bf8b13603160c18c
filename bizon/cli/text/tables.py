"""Tables for a terminal of any width. A row is one line; columns that do not fit are counted."""

import io
import json
import sys
import unicodedata
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDEST = 24  # terminal columns of one table column, at most a third of the line, when not every column fits uncut
_GAP = 2  # between two columns
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # categories of characters that print nothing, or move


class Cell(Enum):
    """A cell without a value."""

    MISSING = "missing"


def shown_table(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int, right: Collection[int] = ()) -> str:
    """The rows under their names, in lines of at most ``width``. ``right``: the columns that end at the same place."""
    heads = [visible(name) for name in names]
    texts = [[_text(value) for value in row] for row in rows]
    widths = _cut([max(map(cell_len, column)) for column in zip(heads, *texts, strict=True)], width)
    count = _fitting(widths, width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for number in range(count):
        table.add_column(
            Text(heads[number]),
            width=widths[number],
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if number in right else "left",
        )
    for row in texts:
        table.add_row(*map(Text, row[:count]))
    lines = _lines(table, width)
    if count < len(names):
        left_out = len(names) - count
        lines.append(f"+{left_out} column" if left_out == 1 else f"+{left_out} columns")
    return "\n".join(lines)


def visible(text: str) -> str:
    """The text on one line: characters that print nothing, or move the cursor, as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char for char in text
    )


def _text(value: Any) -> str:
    if value is Cell.MISSING:
        return ""
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(widths: Sequence[int], width: int) -> Sequence[int]:
    """The widths of the columns; longer values are cut."""
    if sum(widths) + _GAP * (len(widths) - 1) <= width:
        return widths
    widest = min(_WIDEST, max(width // 3, 1))
    return [min(each, widest) for each in widths]


def _fitting(widths: Sequence[int], width: int) -> int:
    """How many columns fit; at least the first, which may be cut."""
    used = 0
    for number, each in enumerate(widths):
        used += each + (_GAP if number else 0)
        if used > width:
            return max(number, 1)
    return len(widths)


def _lines(table: Table, width: int) -> list[str]:
    is_terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), width=width, force_terminal=is_terminal, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]
