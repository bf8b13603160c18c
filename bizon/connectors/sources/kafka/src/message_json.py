"""JSON text from the bytes of any message.

Valid JSON stays as it was sent, byte for byte. A repair works on the text and changes only the broken part: numbers
elsewhere in the text are never parsed and printed again.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import NoReturn

import orjson
import polars as pl

NULL = b"null"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a pair, which Polars accepts and orjson refuses
_NEWLINES = bytes.maketrans(b"\r\n", b"  ")
_NUMBERS = re.compile(rb"(?:(?:0|[1-9][0-9]*)\n)+")
_MAY_BEGIN_JSON = frozenset(b'{["-0123456789tfn \t\r\n')
_TO_REPAIR = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN|[\r\n]', re.DOTALL)
_IN_A_STRING = re.compile(r"(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..|(\\.)|[\x00-\x1f]", re.DOTALL)


def json_text(value: bytes | None) -> bytes:
    """A value as JSON text: valid JSON unchanged, other text as a JSON string, None as null.

    Line breaks between the parts of a JSON value become blanks. Repairs: invalid UTF-8 and lone surrogates become
    U+FFFD, control characters inside strings are escaped, NaN and infinities become null.
    """
    if value is None:
        return NULL
    valid = valid_json(value)
    if valid is not None:
        return valid
    text = value.decode("utf-8", "replace").removeprefix("\ufeff")
    return _TO_REPAIR.sub(_repaired, text).encode() if _is_json(text, strict=False) else orjson.dumps(text)


def json_texts(values: Sequence[bytes | None], each: Callable[[bytes | None], bytes] = json_text) -> list[bytes]:
    """The same for many values, faster when all are objects or all are whole numbers. ``each`` converts values one by
    one in all other cases."""
    given = [value for value in values if value]
    if not given:
        return [each(value) for value in values]
    is_plain = _are_objects if given[0][:1] == b"{" else _are_numbers
    if is_plain(given):
        return [value or each(value) for value in values]
    return [each(value) for value in values]


def valid_json(value: bytes) -> bytes | None:
    """The value on one line, when it is valid JSON; None when it is not."""
    if not value or value[0] not in _MAY_BEGIN_JSON:
        return None
    try:
        orjson.loads(value)
    except ValueError:
        if not _is_valid(value):
            return None
    return value.translate(_NEWLINES) if b"\n" in value or b"\r" in value else value  # a string of valid JSON has none


def base64_text(value: bytes | None) -> bytes:
    """The value as a JSON string in base64, None as null."""
    return NULL if value is None else b'"' + b64encode(value) + b'"'


def is_text(value: bytes) -> bool:
    """Whether the value is UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_valid(value: bytes) -> bool:
    """Whether the value is valid JSON although orjson refuses it: a number beyond a float is, a lone surrogate is
    not."""
    return is_text(value) and not _SURROGATE.search(value) and _is_json(value.decode(), strict=True)


def _is_json(text: str, *, strict: bool) -> bool:
    """Whether the text is JSON, with numbers of any size. Not ``strict``: control characters, NaN and infinities
    pass."""
    constant = _refuse if strict else _nothing
    try:
        json.loads(text, strict=strict, parse_int=_nothing, parse_float=_nothing, parse_constant=constant)
    except (ValueError, RecursionError):
        return False
    return True


def _repaired(part: re.Match[str]) -> str:
    text = part[0]
    if text[0] != '"':
        return " " if text in "\r\n" else "null"
    return _IN_A_STRING.sub(_repaired_in_a_string, text)


def _repaired_in_a_string(part: re.Match[str]) -> str:
    if part[1] or part[2]:
        return part[0]
    return "\ufffd" if part[0][0] == "\\" else f"\\u{ord(part[0]):04x}"


def _nothing(_text: str) -> None:
    return None


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _are_objects(values: list[bytes]) -> bool:
    """Whether each value is a JSON object on one line, checked by Polars in one call: three times as fast as parsing
    them one by one. Polars parses each line by itself, so a broken value cannot hide in the next one."""
    if not all([value[:1] == b"{" and value[-1:] == b"}" for value in values]):
        return False
    lines = b"\n".join(values)
    if lines.count(b"\n") != len(values) - 1 or _SURROGATE.search(lines):
        return False
    try:
        return pl.read_ndjson(lines, schema={"\1": pl.Null()}).height == len(values)
    except pl.exceptions.PolarsError:
        return False


def _are_numbers(values: list[bytes]) -> bool:
    """Whether each value is a whole number, as most keys are."""
    lines = b"\n".join(values) + b"\n"
    return lines.count(b"\n") == len(values) and _NUMBERS.fullmatch(lines) is not None
