"""The rules by which texts of COPY become JSON, for each type of PostgreSQL."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.copied import Rule, bool_of

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.text_parts import Parts
    from bizon.connectors.sources.sql.src.values import Convert

_UNLIKE_JSON = r"[\x00-\x1f]|\\v"  # without a letter in COPY, or with one that JSON lacks
_NUMBERS = ("int2", "int4", "int8", "oid")
_SIMPLE = ("numeric", "date", "time", "interval", "uuid", "inet", "cidr", "macaddr", "bit", "varbit")


def rule_of(kind: str | None, convert: "Convert | None", load: Callable[[bytes], Any] | None = None) -> Rule:
    """The rule of a type with this name. ``convert``: from the value of a row to JSON; ``load``: from a text to the
    value of a row, where that is not the text."""
    if load is not None:
        return Rule(_as_it_is, lambda text: _dumped(load(text.encode()), convert), None)
    if kind in _NUMBERS:
        return Rule(_as_it_is, str, _never, int)
    if kind == "bool":
        return Rule(_bools, str, _never, bool_of)
    slow = _slow(convert)
    if convert is values.number:
        return Rule(_as_it_is, slow, lambda text: text.str.contains("[NI]"))
    if convert is values.json:
        return Rule(_as_it_is, slow, lambda text: text.str.contains("\\", literal=True))
    if convert is values.moment:
        return Rule(_moments, slow, _is_unusual)
    if convert is None:
        return Rule(_in_quotes, slow, _never) if kind in _SIMPLE else Rule(_quoted, slow, _is_unlike_json)
    return Rule(_as_it_is, slow, None)


def _slow(convert: "Convert | None") -> Callable[[str], str]:
    return lambda text: _dumped(text, convert)


def _dumped(value: Any, convert: "Convert | None") -> str:
    return orjson.dumps(value if convert is None else convert(value)).decode()


def _as_it_is(text: pl.Expr) -> "Parts":
    return [text]


def _never(text: pl.Expr) -> pl.Expr:
    return pl.lit(False)


def _bools(text: pl.Expr) -> "Parts":
    return [pl.when(text == "t").then(pl.lit("true")).when(text == "f").then(pl.lit("false"))]


def _in_quotes(text: pl.Expr) -> "Parts":
    return ['"', text, '"']


def _quoted(text: pl.Expr) -> "Parts":
    return _in_quotes(text.str.replace_all('"', r"\"", literal=True))


def _is_unlike_json(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_UNLIKE_JSON)


def _moments(text: pl.Expr) -> "Parts":
    """``2024-05-01 10:00:00+00``, cut at fixed places."""
    end = pl.when(text.str.ends_with("+00")).then(pl.lit(':00"')).otherwise(pl.lit('"'))
    return ['"', text.str.head(10), "T", text.str.slice(11), end]


def _is_unusual(text: pl.Expr) -> pl.Expr:
    """Whether a moment has another form: years beyond four digits or before 1, infinity. The session is in UTC."""
    return (text.str.slice(4, 1) != "-") | (text.str.slice(10, 1) != " ") | text.str.ends_with("C")
