"""A page of PostgreSQL as the text of COPY: its columns become JSON as a whole, not value by value.

COPY writes a line per row and a tab between two values, and puts a backslash before what would break these: as JSON does,
but for quotes, and for control characters without a letter of their own.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.rows import moment_of
from bizon.source.models import JsonLines

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.rows import Layout

Load = Callable[[bytes], Any]
"""From the text of a value to what a row would have."""

_NULL = r"\N"
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNLIKE_JSON = r"[\x00-\x1f]|\\v"
_USUAL_MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?{zone}$"


class Kind(NamedTuple):
    """How values travel. ``is_number``: their text is a number of JSON. ``load``: for values that take a Python object
    on their way."""

    is_number: bool = False
    is_bool: bool = False
    load: Load | None = None


class CopiedPage:
    """Rows as COPY wrote them: the columns of a stream, then those of the order. ``kinds``: of all of them."""

    def __init__(self, text: bytes, layout: "Layout", kinds: Sequence[Kind]) -> None:
        self._layout = layout
        self._kinds = kinds
        self._frame = _frame(text, len(kinds))

    def __len__(self) -> int:
        return self._frame.height

    def key(self, row: int) -> list[Any]:
        """The values that order a row."""
        return [self._value(position, row) for position in self._order]

    def lines(self, count: int) -> JsonLines:
        """The first rows as a page."""
        frame = self._frame[:count]
        columns = self._layout.columns
        texts = [
            _json(frame.to_series(at), self._kinds[at], column.convert).alias(f"_{at}")
            for at, column in enumerate(columns)
        ]
        marks = [f'{"," if at else "{"}{orjson.dumps(name).decode()}:' for at, name in enumerate(self._layout.names)]
        parts = [part for mark, text in zip(marks, texts, strict=True) for part in (pl.lit(mark), text)]
        lines = pl.select(pl.concat_str([*parts, pl.lit("}")])).to_series()
        return JsonLines(lines, ids=self._ids(frame), timestamps=self._moments(frame))

    @property
    def _order(self) -> range:
        return range(len(self._layout.columns), len(self._kinds))

    def _ids(self, frame: pl.DataFrame) -> pl.Series:
        positions = [self._order[at] for at in self._layout.own]
        if len(positions) > 1:
            texts = [_json(frame.to_series(at), self._kinds[at], None).alias(f"_{at}") for at in positions]
            listed = pl.concat_str(texts, separator=",")
            return pl.select(pl.concat_str([pl.lit("["), listed, pl.lit("]")])).to_series()
        kind, texts_of_one = self._kinds[positions[0]], frame.to_series(positions[0])
        return _json(texts_of_one, kind, None) if kind.is_bool else _unescaped(texts_of_one)

    def _moments(self, frame: pl.DataFrame) -> list[Any] | None:
        position = self._layout.moment
        return None if position is None else [moment_of(text) for text in frame.to_series(position).to_list()]

    def _value(self, position: int, row: int) -> Any:
        text, kind = self._frame[row, position], self._kinds[position]
        if text is None:
            return None
        if kind.is_bool:
            return text == "t"
        return int(text) if kind.is_number else _plain(text)


def _frame(text: bytes, width: int) -> pl.DataFrame:
    schema = {f"column_{at + 1}": pl.String() for at in range(width)}
    if not text:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(
        text,
        schema=schema,
        has_header=False,
        separator="\t",
        quote_char=None,
        null_values=_NULL,
        empty_string_is_null=False,
    )


def _json(texts: pl.Series, kind: Kind, convert: values.Convert | None) -> pl.Series:
    """The values of a column as JSON."""
    if kind.load is None and kind.is_bool:
        found = texts.replace_strict({"t": "true", "f": "false"}, default=None, return_dtype=pl.String)
    elif kind.load is None and kind.is_number:
        found = texts
    elif kind.load is None and convert in _RULES:
        found = _RULES[convert](texts)
    elif kind.load is None and convert is None:
        found = _quoted(texts)
    else:
        found = _by_value(texts, kind.load, convert)
    return found.fill_null("null")


def _by_value(texts: pl.Series, load: Load | None, convert: values.Convert | None) -> pl.Series:
    def as_json(text: str) -> str:
        value = text if load is None else load(text.encode())
        return orjson.dumps(value if convert is None else convert(value)).decode()

    plain = _unescaped(texts).to_list()
    return pl.Series([None if text is None else as_json(text) for text in plain], dtype=pl.String)


def _quoted(texts: pl.Series) -> pl.Series:
    """Texts as JSON: the escapes of COPY are those of JSON, but for a few."""
    unlike = texts.str.contains(_UNLIKE_JSON)
    inner = texts.str.replace_all('"', r"\"", literal=True)
    found = pl.select(pl.concat_str([pl.lit('"'), inner.alias("inner"), pl.lit('"')])).to_series()
    if not unlike.any():
        return found
    rows = unlike.fill_null(False).arg_true()
    return found.scatter(rows, [orjson.dumps(_plain(text)).decode() for text in texts.gather(rows)])


def _numbers(texts: pl.Series) -> pl.Series:
    """Floating point: a number as it is, NaN and the infinities as text."""
    column = texts.alias("text")
    is_special = pl.col("text").str.contains("[NI]")
    named = pl.concat_str([pl.lit('"'), pl.col("text"), pl.lit('"')])
    return column.to_frame().select(pl.when(is_special).then(named).otherwise(pl.col("text"))).to_series()


def _moments(texts: pl.Series) -> pl.Series:
    """Moments of the usual calendar in ISO 8601, cut at fixed places; any other value by value."""
    has_zone = bool(texts.str.ends_with("+00").any())
    usual = texts.str.contains(_USUAL_MOMENT.replace("{zone}", r"\+00" if has_zone else ""))
    if not usual.all():
        return _by_value(texts, None, values.moment)
    day, clock = pl.col("text").str.head(10), pl.col("text").str.slice(11)
    parts = [pl.lit('"'), day, pl.lit("T"), clock, pl.lit(':00"' if has_zone else '"')]
    return texts.alias("text").to_frame().select(pl.concat_str(parts)).to_series()


def _documents(texts: pl.Series) -> pl.Series:
    """JSON, on one line."""
    plain = _unescaped(texts)
    has_breaks = plain.str.contains(r"[\r\n]").any()
    return plain.str.replace_all(r"[\r\n]", " ") if has_breaks else plain


def _unescaped(texts: pl.Series) -> pl.Series:
    escaped = texts.str.contains("\\", literal=True)
    if not escaped.any():
        return texts
    rows = escaped.fill_null(False).arg_true()
    return texts.scatter(rows, [_plain(text) for text in texts.gather(rows)])


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), text)


_RULES: dict[values.Convert | None, Callable[[pl.Series], pl.Series]] = {
    values.number: _numbers,
    values.moment: _moments,
    values.json: _documents,
}
