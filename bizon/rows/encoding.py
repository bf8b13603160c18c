"""From the data of a record to JSON text."""

import re
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Self

import orjson

ENCODE_OPTIONS = orjson.OPT_NON_STR_KEYS
_LARGEST_INTEGER, _SMALLEST_INTEGER = 2**64 - 1, -(2**63)
_SURROGATES = re.compile("[\ud800-\udfff]")


class KeptNumber(float):
    """A JSON number that Python would write differently: 1.10, 1e400, 0.1000000000000000055. A float for code that
    computes, or compares. ``encode_data`` and ``str`` write its text; what is computed from it has none."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """``text``: a JSON number. One beyond the range of a float is an infinity with a text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptNumber, (self.text,)

    def __str__(self) -> str:
        return self.text


KeptNumber.__name__ = "float"  # JMESPath, and errors that people see, know types by their name


class NestingError(TypeError):
    """A record refers to itself, or is nested more deeply than JSON readers allow."""


def encode_data(data: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """JSON text of one record, as ``orjson.dumps`` writes it.

    In addition to orjson, a Decimal is written as an exact number, a KeptNumber as it was sent, an integer of any size
    in full, a lone surrogate as U+FFFD. NaN and infinities become null. ``default`` returns a substitute for any other
    value without a JSON form; without ``default`` such a value raises TypeError.
    """
    extra = default or encode_extra
    with suppress(TypeError):
        return orjson.dumps(data, extra)
    try:  # keys that are not texts: looking for them costs half as much again
        return orjson.dumps(data, default=extra, option=ENCODE_OPTIONS)
    except TypeError:  # rare: walk the record and repair it where possible
        try:
            return orjson.dumps(_repaired(data), default=extra, option=ENCODE_OPTIONS)
        except RecursionError:
            raise NestingError("refers to itself, or is nested too deeply") from None


def encode_extra(value: Any) -> Any:
    """A substitute for a value that ``orjson`` does not know. Raises TypeError when there is none."""
    if isinstance(value, KeptNumber):
        return orjson.Fragment(value.text)
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else None
    raise TypeError(f"{type(value).__name__} is not JSON")


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value) if _SURROGATES.search(value) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER else orjson.Fragment(_digits(value))
    if isinstance(value, dict):
        return {_repaired_key(key): _repaired(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_repaired(item) for item in value]
    return value


def _digits(number: int) -> str:
    return str(Decimal(number))  # ``str`` refuses an integer of more than 4,300 digits


def _repaired_key(key: Any) -> Any:
    if isinstance(key, str):
        return _repaired(key)
    repaired = _repaired(key)
    return _digits(key) if isinstance(repaired, orjson.Fragment) else repaired


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate; the two halves of a pair are joined."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
