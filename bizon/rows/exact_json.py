"""Decoding JSON without losing a digit, and encoding it again exactly as it was sent."""

import json
import re
import sys
from contextlib import suppress
from decimal import Decimal
from typing import Any, Never

import orjson

from bizon.rows.encoding import ENCODE_OPTIONS, NestingError, encode_data, encode_extra

_MANY_DIGITS = re.compile(r"[\d.]{16}")  # a 64-bit float keeps 15 digits; more need exact decoding
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIXTEEN_DIGITS = "|".join([*(rf"\d{{{whole}}}\.\d{{{16 - whole}}}" for whole in range(1, 16)), r"\d{16,}\."])
PERHAPS_NOT_REPRODUCED = (
    rf"[:,\[]\s*(?:-0[,\]}}\s]|-?(?:\d{{19}}|\d+\.\d+0[,\]}}\s]|\d+(?:\.\d+)?[eE]|0\.0000|{_SIXTEEN_DIGITS}))"
)
"""Finds JSON with a number that ``orjson`` may write differently from the text it read: 1.10, 1e5, -0, or more than 15
digits. For Polars, which is fast because the pattern starts with one of three characters. It also finds some strings
that look like a number."""
_NEGATIVE_ZERO = re.compile(r"-0\s*[,\]}]")
_LISTS = (list, tuple)
_PLAIN = frozenset({str, int, bool, type(None)})


def is_usual(value: float, text: str) -> bool:
    """Whether ``orjson`` writes a float with this text."""
    return repr(value) == text and "e" not in text


class SentNumbers:
    """A JSON document that is read, perhaps changed, and written. Numbers that did not change are written as sent.

    ``loads`` returns plain numbers, as ``json.loads`` does, for code that computes with them. It remembers each number
    object with its text until the next ``loads``. So a number keeps its text wherever it is moved, and a computed
    number has none. A number beyond the range of a float, or with thousands of digits, becomes infinity. A lone
    surrogate keeps its escape. As fast as ``orjson`` when there is nothing to remember. Used on one thread."""

    def __init__(self) -> None:
        # by id; while the objects live, no other object gets the same id
        self.remembered: dict[int, tuple[float, str]] = {}
        self._usual = json.JSONDecoder(parse_float=self._float, parse_constant=_refuse)
        self._unusual = json.JSONDecoder(parse_float=self._float, parse_int=self._int, parse_constant=_refuse)

    def loads(self, text: str, *, careful: bool = True) -> Any:
        """Decode JSON. Not ``careful``: for text without ``PERHAPS_NOT_REPRODUCED``. Raises ValueError."""
        if self.remembered:
            self.remembered.clear()
        try:
            data = orjson.loads(text)
        except ValueError:  # a lone surrogate, a number beyond a float, or not valid JSON
            return self._carefully(text)
        return self._carefully(text) if careful and orjson.dumps(data) != text.encode() else data

    def _carefully(self, text: str) -> Any:
        has_unusual_integers = 0 < sys.get_int_max_str_digits() < len(text) or _NEGATIVE_ZERO.search(text)
        try:
            return (self._unusual if has_unusual_integers else self._usual).decode(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def dumps(self, data: Any) -> str:
        """JSON text of ``data``, with new values in the form of ``encode_data``. Raises TypeError."""
        try:
            restored = self._restored(data) if self.remembered else data
            return orjson.dumps(restored, default=encode_extra, option=ENCODE_OPTIONS).decode()
        except TypeError:  # rare: a surrogate, an integer beyond 64 bits, or not valid JSON
            return self._dumped(data)
        except RecursionError:
            raise _nested() from None

    def _dumped(self, data: Any) -> str:
        try:
            return self._text(data)
        except RecursionError:
            raise _nested() from None

    def _float(self, text: str) -> float:
        value = float(text)
        return value if is_usual(value, text) else self._remembered(value, text)

    def _int(self, text: str) -> float:
        if text == "-0":
            return self._remembered(_NegativeZero(), text)
        limit = sys.get_int_max_str_digits()
        return self._remembered(float(text), text) if 0 < limit < len(text) else int(text)

    def _remembered(self, value: float, text: str) -> float:
        self.remembered[id(value)] = value, text
        return value

    def _restored(self, value: Any) -> Any:
        """A copy with the text of each remembered number in its place."""
        if value.__class__ is dict or isinstance(value, dict):
            return {key: item if item.__class__ in _PLAIN else self._restored(item) for key, item in value.items()}
        if value.__class__ is list or isinstance(value, _LISTS):
            return [item if item.__class__ in _PLAIN else self._restored(item) for item in value]
        known = self.remembered.get(id(value))
        return value if known is None else orjson.Fragment(known[1])

    def _text(self, value: Any) -> str:
        """The same as text, for data that ``orjson`` refuses."""
        if isinstance(value, dict):
            return f"{{{','.join([f'{_key(key)}:{self._text(item)}' for key, item in value.items()])}}}"
        if isinstance(value, _LISTS):
            return f"[{','.join(map(self._text, value))}]"
        if id(value) in self.remembered:
            return self.remembered[id(value)][1]
        if isinstance(value, str) and _SURROGATE.search(value):
            return _escaped(value)
        return encode_data(value).decode()


class ExactNumbers:
    """A JSON document that is read and written with every digit. A number that a float may not hold is a Decimal, which
    is written in its own form: 1e400 becomes 1E+400."""

    def loads(self, text: str, *, careful: bool = True) -> Any:
        """Decode JSON. Raises ValueError."""
        if not _MANY_DIGITS.search(text):
            with suppress(ValueError):  # from a number beyond a float, a lone surrogate, or text that is not JSON
                return orjson.loads(text)
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)

    def dumps(self, data: Any) -> str:
        """JSON text of ``data``. Raises TypeError."""
        return encode_data(data).decode()


class _NegativeZero(int):
    """The integer -0: equal to 0, but a separate object."""

    __slots__ = ()


def _nested() -> NestingError:
    return NestingError("refers to itself, or is nested too deeply")


def _refuse(text: str) -> Never:
    raise ValueError(f"{text} is not a number")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _escaped(key) if _SURROGATE.search(key) else encode_data(key).decode()
    return encode_data({key: None}).decode()[1 : -len(":null}")]


def _escaped(text: str) -> str:
    """JSON text of a string with lone surrogates."""
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(text, ensure_ascii=False))
