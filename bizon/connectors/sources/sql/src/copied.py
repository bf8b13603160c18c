"""A page of PostgreSQL as the text of COPY: its columns become JSON as a whole, not value by value.

COPY writes a line per row and a tab between two values, and puts a backslash before what would break these. JSON has
the same escapes, and more: for quotes, and for control characters without a letter of their own.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from bizon.connectors.sources.sql.src.database_rows import moment_of
from bizon.connectors.sources.sql.src.text_parts import Parts, in_a_row
from bizon.source.models import JsonLines

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.database_rows import Layout

_NULL = r"\N"
AT_ONCE = 5_000
"""Rows that are parsed at once, which takes several times the memory of their text."""
_NONE = pl.Series([], dtype=pl.String)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Rule(NamedTuple):
    """How the texts of a column become JSON. ``quick``: all at once, in parts. ``is_slow``: whether a text needs
    ``slow``, which takes one text, without the escapes of COPY; None = each does."""

    quick: Callable[[pl.Expr], Parts]
    slow: Callable[[str], str]
    is_slow: Callable[[pl.Expr], pl.Expr] | None
    load: Callable[[str], Any] = str
    """From a text to the value of a key."""


class CopiedPage:
    """Rows as COPY wrote them, a line each. ``blocks``: ``AT_ONCE`` rows each, the last one perhaps fewer; ``rules``:
    those for the columns of the stream; ``keys``: those for the columns that order the pages."""

    def __init__(self, blocks: Sequence[bytes], layout: "Layout", rules: Sequence[Rule], keys: Sequence[Rule]) -> None:
        self._blocks = blocks
        self._layout = layout
        self._rules = rules
        self._keys = keys
        self._width = max([len(rules) - 1, *layout.keys]) + 1

    def __len__(self) -> int:
        return (len(self._blocks) - 1) * AT_ONCE + self._blocks[-1].count(b"\n") if self._blocks else 0

    def key(self, row: int) -> list[Any]:
        """The values that order a row."""
        block, at = self._blocks[row // AT_ONCE], row % AT_ONCE
        after = block.count(b"\n") - at  # a key is mostly asked for at the end of a page
        texts = block.rsplit(b"\n", after + 1)[-after - 1].decode().split("\t")
        found = [(texts[at], rule) for at, rule in zip(self._layout.keys, self._keys, strict=True)]
        return [None if text == _NULL else rule.load(unescaped(text)) for text, rule in found]

    def lines(self, count: int) -> JsonLines:
        """The first rows as a page."""
        count = min(count, len(self))
        whole, rest = divmod(count, AT_ONCE)
        blocks = [*self._blocks[:whole], *([_cut(self._blocks[whole], rest)] if rest else [])]
        frames = map(self._frame, blocks)
        parts = [(self._objects(frame), self._ids(frame), self._moments(frame)) for frame in frames]
        return JsonLines(
            pl.concat([_NONE, *(texts for texts, _, _ in parts)]),
            ids=pl.concat([_NONE, *(ids for _, ids, _ in parts)]),
            timestamps=None if self._layout.moment is None else [each for *_, moments in parts for each in moments],
        )

    def _frame(self, lines: bytes) -> pl.DataFrame:
        return pl.read_csv(
            lines,
            schema={f"column_{at}": pl.String() for at in range(self._width)},
            has_header=False,
            separator="\t",
            quote_char=None,
            null_values=_NULL,
            empty_string_is_null=False,
        )

    def _objects(self, frame: pl.DataFrame) -> pl.Series:
        marks = [f"{',' if at else '{'}{orjson.dumps(name).decode()}:" for at, name in enumerate(self._layout.names)]
        frame, values = self._as_json(frame, dict(enumerate(self._rules)))
        parts = [part for mark, value in zip(marks, values, strict=True) for part in (mark, *value)]
        return frame.select(in_a_row([*parts, "}"])).to_series()

    def _as_json(self, frame: pl.DataFrame, rules_at: dict[int, Rule]) -> tuple[pl.DataFrame, list[Parts]]:
        """Values as parts of a text. Columns with texts that need it are converted text by text before. ``rules_at``:
        by the positions of the columns."""
        rules = {frame.columns[at]: rule for at, rule in rules_at.items()}
        tests = [
            (pl.lit(True) if rule.is_slow is None else rule.is_slow(pl.col(name)).any()).alias(name)
            for name, rule in rules.items()
        ]
        slow = [name for name, is_slow in frame.select(tests).row(0, named=True).items() if is_slow]
        frame = frame.with_columns(_one_by_one(frame[name], rules[name]) for name in slow)
        values = {name: [pl.col(name)] if name in slow else rule.quick(pl.col(name)) for name, rule in rules.items()}
        is_whole = {name: not frame[name].null_count() for name in values}
        return frame, [
            parts if is_whole[name] else [in_a_row(parts).fill_null("null")] for name, parts in values.items()
        ]

    def _ids(self, frame: pl.DataFrame) -> pl.Series:
        rules = {self._layout.keys[at]: self._keys[at] for at in self._layout.own}
        position, *others = rules
        if not others and rules[position].load is not bool_of:
            texts = frame.to_series(position)
            is_plain = not texts.str.contains("\\", literal=True).any()
            return texts if is_plain else pl.Series([unescaped(text) for text in texts], dtype=pl.String)
        frame, values = self._as_json(frame, rules)
        if not others:
            return frame.select(in_a_row(values[0])).to_series()
        listed = [part for value in values for part in (",", *value)][1:]
        return frame.select(in_a_row(["[", *listed, "]"])).to_series()

    def _moments(self, frame: pl.DataFrame) -> list[Any]:
        position = self._layout.moment
        return [] if position is None else [moment_of(text) for text in frame.to_series(position)]


def _cut(lines: bytes, count: int) -> bytes:
    """The first lines."""
    return b"".join(line + b"\n" for line in lines.split(b"\n", count)[:count])


def bool_of(text: str) -> bool:
    return text == "t"


def unescaped(text: str) -> str:
    """A text without the escapes of COPY."""
    return _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), text)


def _one_by_one(texts: pl.Series, rule: Rule) -> pl.Series:
    found = [None if text is None else rule.slow(unescaped(text)) for text in texts]
    return pl.Series(texts.name, found, dtype=pl.String)
