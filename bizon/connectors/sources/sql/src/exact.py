"""Values of keys in a checkpoint: JSON, and exactly the same value when it is read back."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1  # integers beyond are not integers for every reader of JSON

_WRITERS: dict[type, Callable[[Any], Any]] = {
    int: str,
    float: float.hex,
    Decimal: str,
    bytes: lambda value: b64encode(value).decode(),
    UUID: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    str: lambda value: b64encode(value.encode("utf-8", "surrogatepass")).decode(),
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float.fromhex,
    "Decimal": Decimal,
    "bytes": b64decode,
    "UUID": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "str": lambda value: b64decode(value).decode("utf-8", "surrogatepass"),
}


def encoded(value: Any) -> Any:
    """The value as JSON; an object with the name of its type where JSON has no such value. Raises TypeError."""
    if value is None or isinstance(value, bool) or _is_plain(value):
        return value
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    kind = next((each for each in type(value).__mro__ if each in _WRITERS), None)
    if kind is None:
        raise TypeError(f"a value of type {type(value).__name__} cannot be kept in a checkpoint")
    return {kind.__name__: _WRITERS[kind](value)}


def decoded(value: Any) -> Any:
    """The value that ``encoded`` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    return _READERS[kind](text)


def _is_plain(value: Any) -> bool:
    if isinstance(value, int):
        return _SMALLEST <= value <= _LARGEST
    if isinstance(value, float):
        return isfinite(value)
    return type(value) is str and value.isprintable()
