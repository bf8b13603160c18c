"""Decoding JSON so that no digit is lost."""

import json
import re
from decimal import Decimal
from typing import Any

import orjson

_MANY_DIGITS = re.compile(r"[\d.]{16}")  # a 64-bit float keeps 15 digits; more need exact decoding


def loads_exact(text: str) -> Any:
    """Decode JSON; a number that a float could not hold is a Decimal. Raises ValueError."""
    return json.loads(text, parse_float=Decimal) if _MANY_DIGITS.search(text) else orjson.loads(text)
