"""The JSON that BigQuery keeps as it is. Its type JSON parses a value: numbers are 64-bit integers or floats, of a
repeated key the first value stays, and nothing is nested deeper than 500 levels."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from bizon.destination.leaves import Sent

_DEEPEST = 500
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def json_misfits(values: Sequence[Any], texts: pl.Series) -> list[int]:
    """The positions of leaves that BigQuery would change or refuse. ``texts``: the same as JSON."""
    perhaps_deep = texts.str.count_matches(r"[\[{]") > _DEEPEST
    misfits = {at for at in perhaps_deep.fill_null(False).arg_true() if _depth(texts[at]) > _DEEPEST}
    if Sent in {*map(type, values)}:  # other values have small numbers, and no key twice
        misfits |= {at for at, value in enumerate(values) if isinstance(value, Sent) and not _is_kept(value)}
    return sorted(misfits)


def _is_kept(value: Sent) -> bool:
    try:
        json.loads(value.text, parse_int=_whole, parse_float=_number, object_pairs_hook=_members)
    except (_ChangedError, ValueError, RecursionError):
        return False
    return True


class _ChangedError(Exception):
    """BigQuery would keep something else."""


def _whole(text: str) -> None:
    if len(text) > 20 or not _SMALLEST <= int(text) <= _LARGEST:
        _number(text)


def _number(text: str) -> None:
    found = float(text)
    if not math.isfinite(found) or Decimal(text) != Decimal(repr(found)):
        raise _ChangedError


def _members(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _ChangedError


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in _TEXT.sub("", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest
