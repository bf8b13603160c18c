"""Values of a database as JSON, without loss. Each function takes one value that is not null, and returns what orjson
writes."""

import re
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

from bizon.connectors.sources.sql.src.durations import duration

Convert = Callable[[Any], Any]

_LARGEST = 2**64
_SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "infinity": "Infinity", "-infinity": "-Infinity"}
_MOMENT = re.compile(r"(\d{4,}-(?!00)\d\d-(?!00)\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)?(:\d\d)?")
_CLOCK = re.compile(r"(\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d)")


def plain(value: Any) -> Any:
    """Any value of a driver. Numbers that are not decimal stay numbers; a decimal is text with all its digits."""
    if value.__class__ is str or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_LARGEST // 2 <= value < _LARGEST else orjson.Fragment(str(value))
    if isinstance(value, float):
        return value if isfinite(value) else _SPECIAL[repr(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64(value)
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {each if isinstance(each, str) else str(plain(each)): plain(item) for each, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def base64(value: "bytes | bytearray | memoryview") -> str:
    return b64encode(value).decode()


def hex_as_base64(text: str) -> str:
    """``\\x00ff`` of PostgreSQL."""
    return base64(bytes.fromhex(text[2:]))


def number(text: str) -> Any:
    """A number of binary floating point that the database has written with as many digits as it needs. NaN and the
    infinities, which JSON lacks, are text."""
    return _SPECIAL.get(text.lower()) or orjson.Fragment(text)


def single_number(text: str) -> Any:
    """A number of 32 bits, written with the digits of 64: the shortest text that names it."""
    value = float(text)
    packed = struct.pack("f", value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return orjson.Fragment(next((each for each in texts if struct.pack("f", float(each)) == packed), text))


def moment(text: str) -> str:
    """``2024-05-01 10:00:00.5+00`` as ISO 8601 writes it. A text that is not a moment of the usual calendar stays
    unchanged."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return text
    day, clock, hours, minutes = found.groups()
    return f"{day}T{clock}{hours + (minutes or ':00') if hours else ''}"


def utc_moment(text: str) -> str:
    """``2024-05-01 10:00:00`` of a session whose zone is UTC."""
    found = moment(text)
    return f"{found}+00:00" if "T" in found else text


def clock(text: str) -> str:
    """``10:00:00+02`` with the offset as ISO 8601 writes it."""
    return f"{text}:00" if _CLOCK.fullmatch(text) else text


def json(text: str) -> Any:
    """JSON that the database has checked, unchanged: numbers keep their digits. On one line."""
    return orjson.Fragment(text.replace("\r", " ").replace("\n", " "))


def json_if_valid(text: Any) -> Any:
    """JSON in a column that may hold anything; what is not JSON stays as it is."""
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return plain(text)
    return json(text) if isinstance(text, str) else plain(text)


def bits(value: bytes) -> int:
    return int.from_bytes(value, "big")


def each(convert: Convert) -> Convert:
    """For the elements of an array, at any depth."""

    def converted(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [None if item is None else converted(item) for item in value]
        return convert(value)

    return converted
