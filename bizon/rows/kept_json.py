"""Decoding JSON into plain values, in which a number that Python would write differently keeps its text."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import orjson
import polars as pl

from bizon.rows.encoding import KeptNumber
from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED, is_usual

_NEGATIVE_ZERO = re.compile(r"-0\s*[,\]}]")


def loads_kept(text: str) -> Any:
    """Decode JSON as ``json.loads`` does, with a KeptNumber for each number that Python would write differently. Raises
    JSONDecodeError. As fast as ``orjson`` when there is none."""
    return decoder_for(text)(text)


def decoder_for(text: str) -> Callable[[str], Any]:
    """``loads_kept`` for a text, or for each of its lines: the text is searched once."""
    if pl.Series([text]).str.contains(PERHAPS_NOT_REPRODUCED)[0]:
        return _loads_carefully
    return _loads_quickly


def _loads_quickly(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:  # a lone surrogate, NaN, deep nesting, or not valid JSON
        return _loads_carefully(text)


def _loads_carefully(text: str) -> Any:
    floats = _KeptFloats().__getitem__
    has_negative_zero = _NEGATIVE_ZERO.search(text) is not None
    if not has_negative_zero:
        with suppress(ValueError, RecursionError):  # as above, or an integer with thousands of digits
            return msgspec.json.Decoder(float_hook=floats).decode(text)
    try:
        return json.loads(text, parse_float=floats, parse_int=_kept_int)
    except RecursionError:
        raise json.JSONDecodeError("it is nested too deeply", text, 0) from None


class _KeptFloats(dict[str, float]):
    """Floats by their text: in records many come again."""

    def __missing__(self, text: str) -> float:
        value = float(text)
        self[text] = kept = value if is_usual(value, text) else KeptNumber(text)
        return kept


def _kept_int(text: str) -> float:
    return KeptNumber(text) if text == "-0" or 0 < sys.get_int_max_str_digits() < len(text) else int(text)
