"""The values of records in columns, before anything is known of their types.

A leaf is a scalar, an array, an empty object, or an object below the levels that are flattened. A leaf is a plain
Python value when that value says exactly what the text said: encoded again, the record gives the text that it came
from. Otherwise it is ``Sent``, which keeps the text. So nothing downstream can lose a digit that it does not see.
A leaf of a column of type json may be ``bytes``, the text itself.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import chain
from json.decoder import scanstring  # type: ignore[attr-defined]  # documented for its errors only
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

if TYPE_CHECKING:
    from bizon.destination.shaped import Shapes

Path = tuple[str, ...]
_RECORDS_AT_ONCE = 1024  # their objects are still in the cache of the processor when they become columns
_NUL = b"\\u0000"
_SPACE = re.compile(r"[ \t\n\r]*")
_NOT_A_NUMBER = re.compile(r"-?(?:NaN|Infinity)")
_TEXT_OR_NOT_A_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)')
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_INT64_FOR_CERTAIN = 18  # digits
_FLOAT_FOR_CERTAIN = 16  # characters: at most 15 digits and a point
_WHOLE = re.compile(r"-?\d+")
_SIMPLE_MEMBER = re.compile(
    r'[ \t\n\r]*"([^"\\\0-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*'
    r'(?:"([^"\\\0-\x1f]*)"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(true|false|null))'
    r"[ \t\n\r]*([,}])"
)
"""A member with a scalar and without escapes; the last group is what follows it."""
_WORDS = {"true": True, "false": False, "null": None}


class Sent:
    """A value that no Python value stands for exactly, as JSON text. ``is_json``: false for a value with NaN or an
    infinity in it, which JSON does not have; its text then holds them in quotes."""

    __slots__ = ("is_json", "text")

    def __init__(self, text: str) -> None:
        self.is_json = _NOT_A_NUMBER.search(text) is None or text == _quoted(text)
        self.text = text if self.is_json else _quoted(text)


@dataclass(slots=True)
class Leaves:
    """The leaves of some records. A column has a value per record, None where it is null or missing. ``first``: the
    number of the first record. ``series``: columns that need not be fitted, since they have their type. ``surplus``:
    record, path and value of a key that its record has once more later on. ``faults``: why a record cannot be read; all
    its leaves are None. Records are numbered from ``first``."""

    first: int
    height: int
    columns: dict[Path, list[Any]] = field(default_factory=dict)
    series: dict[Path, pl.Series] = field(default_factory=dict)
    surplus: list[tuple[int, Path, Any]] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)


def leaves(texts: pl.Series, flatten: int = 0, shapes: "Shapes | None" = None) -> Iterator[Leaves]:
    """The leaves of JSON texts, some records at a time, in order. ``flatten``: levels of nested objects whose keys
    become columns of their own. ``shapes``: reads the records that fit the columns. Every record is read."""
    for first in range(0, texts.len(), _RECORDS_AT_ONCE):
        some = texts.slice(first, _RECORDS_AT_ONCE)
        raw = some.cast(pl.Binary).to_list()
        if shapes is not None and (fitting := shapes.read(raw)) is not None:
            found = Leaves(first, len(raw), fitting.columns, fitting.series)
            for path in found.columns.keys() & shapes.read_further:
                found.columns[path] = [None if text is None else _json_value(text) for text in found.columns[path]]
            for position in fitting.odd:
                _add(found, position, raw[position], flatten)
            yield found
            continue
        records, others = _decoded(raw)
        found = Leaves(first, len(raw), _columns(records, (), flatten))
        if others:
            _add_others(found, raw, records, others, flatten)
        yield found


def _json_value(text: bytes) -> Any:
    """The leaf for a JSON text that is valid."""
    with suppress(ValueError, TypeError):  # nested too deeply, or a number that does not fit
        value = orjson.loads(text)
        if orjson.dumps(value) == text:
            return value
    return Sent(text.decode())


def _decoded(texts: list[bytes | None]) -> tuple[list[Any], list[int]]:
    """The records whose objects say exactly what the text says, ``{}`` for the others, and the positions of those."""
    loads, dumps = orjson.loads, orjson.dumps
    records: list[Any] = []
    others: list[int] = []
    again = b""
    for position, text in enumerate(texts):
        try:
            record = loads(text)  # type: ignore[arg-type]  # None raises like any text that is not JSON
            again = dumps(record)
        except (ValueError, TypeError):
            record = None
        if (
            record.__class__ is not dict
            or _NUL in again
            or (again != text and not (text and _same_tokens(again, text)))
        ):
            others.append(position)
            record = {}
        records.append(record)
    return records, others


def _same_tokens(again: bytes, text: bytes) -> bool:
    """Whether only spaces between tokens differ. A token that changed or is gone would differ in another character."""
    return again.replace(b" ", b"") == text.replace(b" ", b"")


def _columns(records: list[Any], path: Path, flatten: int) -> dict[Path, list[Any]]:
    columns: dict[Path, list[Any]] = {}
    for key in dict.fromkeys(chain.from_iterable(records)):
        try:
            values = list(map(itemgetter(key), records))
        except KeyError:  # some record lacks it
            values = [record.get(key) for record in records]
        here = (*path, key)
        if flatten and any(value.__class__ is dict and value for value in values):
            inner = [value if value.__class__ is dict else {} for value in values]
            columns.update(_columns(inner, here, flatten - 1))
            values = [None if value.__class__ is dict and value else value for value in values]
            if not any(value is not None for value in values):
                continue
        columns[here] = values
    return columns


def _add_others(
    found: Leaves, raw: Sequence[bytes | None], records: Sequence[Any], others: Sequence[int], flatten: int
) -> None:
    """Add the records that are read value by value. The keys stay in the order in which they first appear."""
    keys: list[Iterable[str]] = list(records)
    for position in others:
        keys[position] = _add(found, position, raw[position], flatten)
    order = {key: place for place, key in enumerate(dict.fromkeys(chain.from_iterable(keys)))}
    found.columns = dict(sorted(found.columns.items(), key=lambda column: order[column[0][0]]))


def _add(found: Leaves, position: int, raw: bytes | None, flatten: int) -> list[str]:
    """Add the leaves of one record, read value by value; returns its keys."""
    try:
        pairs = list(_pairs(raw.decode() if raw else "", (), flatten))
    except ValueError as error:
        found.faults[found.first + position] = f"is not a JSON object: {error}"
        return []
    except RecursionError:
        found.faults[found.first + position] = "is nested too deeply"
        return []
    for path, value in pairs:
        column = found.columns.get(path)
        if column is None:
            column = found.columns[path] = [None] * found.height
        if column[position] is not None:
            found.surplus.append((found.first + position, path, column[position]))
        column[position] = value
    return [path[0] for path, _ in pairs]


def _pairs(text: str, path: Path, flatten: int) -> Iterator[tuple[Path, Any]]:
    """Path and leaf of each key, in order, repeated keys included. Raises ValueError."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError(f"it begins with {text[at : at + 1]!r}" if text else "it is empty")
    at, end = _skip(text, at + 1), ","
    if text[at : at + 1] == "}":
        at, end = at + 1, "}"
    while end == ",":
        simple = _SIMPLE_MEMBER.match(text, at)
        if simple:
            key, string, number, word, end = simple.groups()
            at = simple.end()
            yield (*path, key), string if string is not None else _WORDS[word] if word else _number(number)
            continue
        key, at = scanstring(text, _expect(text, _skip(text, at), '"'), True)
        begin = _skip(text, _expect(text, _skip(text, at), ":"))
        value, at = _DECODER.raw_decode(text, begin)
        raw = text[begin:at]
        if flatten and raw.startswith("{") and value:
            yield from _pairs(raw, (*path, key), flatten - 1)
        else:
            yield (*path, key), _leaf(value, raw)
        at = _skip(text, at)
        end = text[at : at + 1]
        at += 1
    if end != "}" or _skip(text, at) != len(text):
        raise ValueError(f"it is malformed at character {at}")


def _leaf(value: Any, raw: str) -> Any:
    if isinstance(value, str):
        return Sent(raw) if _UNSTORABLE.search(value) else value
    if value is None or isinstance(value, bool):
        return value
    return _number(raw) if isinstance(value, float) else Sent(raw)  # the decoder reads all numbers as floats


def _number(raw: str) -> Any:
    """The number, if an integer of 18 digits or a float is equal to it."""
    if _WHOLE.fullmatch(raw):
        return int(raw) if len(raw) <= _INT64_FOR_CERTAIN else Sent(raw)
    value = float(raw)
    if not isfinite(value):
        return Sent(raw)
    if len(raw) <= _FLOAT_FOR_CERTAIN and "e" not in raw and "E" not in raw:
        return value
    try:
        return value if Decimal(raw) == Decimal(repr(value)) else Sent(raw)
    except InvalidOperation:  # an exponent beyond all limits
        return Sent(raw)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"{character} is missing at character {at}")
    return at + 1


def _quoted(text: str) -> str:
    return _TEXT_OR_NOT_A_NUMBER.sub(lambda found: found[0] if found[0][0] == '"' else f'"{found[0]}"', text)


_DECODER = json.JSONDecoder(parse_int=float, parse_float=float)  # floats: any number of digits, and they are not used
