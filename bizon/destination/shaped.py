"""Reads records that fit the columns of their table, without a dictionary per record. Pure.

Most records fit, and msgspec reads them several times as fast as ``leaves.py`` does. A record counts only if what was
read, encoded again, gives its text byte for byte. ``leaves.py`` reads the others.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from bizon.destination.column_types import LARGEST_INT64, SMALLEST_INT64, Kind
from bizon.destination.shaped_values import Field, json_texts

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.columns import Column
    from bizon.destination.leaves import Path

_INTEGER = Annotated[int, msgspec.Meta(ge=SMALLEST_INT64, le=LARGEST_INT64)]
_TYPES: dict[Kind, Any] = {
    Kind.BOOLEAN: bool,
    Kind.INT64: _INTEGER,
    Kind.FLOAT64: _INTEGER | float,
    Kind.DECIMAL: _INTEGER | float,
}
"""The values of a kind, besides JSON, whose text stays as it is. Text for every other kind."""
_SAMPLES = 32  # records of a portion whose keys show the order
_ODD = 8  # a portion is refused when more than an eighth of its records are odd
_PATIENCE = 3  # portions that are refused in a row
_READERS = 32  # kept
_ESCAPE, _EMPTY = b"\\u", b"{}"
_UNREADABLE = (msgspec.MsgspecError, RecursionError, TypeError)
_encoder = msgspec.json.Encoder()


class Shaped(NamedTuple):
    """A value per record, by path. ``series``: the columns whose values fit as they are. ``columns``: all others, and
    every column when some records are odd: Python values, or the ``bytes`` of JSON text; None where a value is null or
    missing. ``odd``: the positions of the records that are left to others; their values are None."""

    series: "dict[Path, pl.Series]"
    columns: "dict[Path, list[Any]]"
    odd: list[int]


class Shapes:
    """Reads portions of a batch. ``json_values``: the values of JSON columns are wanted as such, not as text."""

    def __init__(self, columns: "Sequence[Column]", flatten: int = 0, *, json_values: bool = False) -> None:
        self._known = tuple((column.path, column.type.kind) for column in columns if len(column.path) <= flatten + 1)
        self._flatten = flatten
        self.read_further = [path for path, kind in self._known if json_values and kind is Kind.JSON]
        """Columns whose JSON text has to become values."""
        self._reader: _Reader | None = None
        self._refused = 0

    def read(self, texts: Sequence[bytes | None]) -> Shaped | None:
        """The values of the records in the columns; None when many records are odd: with a key that has no column or
        comes twice, a value of another kind, an escaped character, a space between tokens, or keys in another order."""
        if self._refused == _PATIENCE or not self._known:
            return None
        found = None if self._reader is None else self._reader.read(texts)
        if found is None:
            self._reader = _reader(self._known, self._flatten, _order(texts), bool(self.read_further))
            found = self._reader.read(texts)
        self._refused = 0 if found else self._refused + 1
        return found


def _order(texts: Sequence[bytes | None]) -> "tuple[Path, ...]":
    """The paths of the first records, in an order that suits them all if there is one."""
    order: list[Path] = []
    for text in texts[:: max(1, len(texts) // _SAMPLES)]:
        try:
            record = orjson.loads(text or _EMPTY)
        except ValueError:
            continue
        if isinstance(record, dict):
            _merge(order, record, ())
    return tuple(order)


def _merge(order: "list[Path]", record: dict[str, Any], path: "Path") -> None:
    at = len(order) if not path else order.index(path) + 1
    for key, value in record.items():
        here = (*path, key)
        if here not in order:
            order.insert(at, here)
        at = order.index(here) + 1
        if isinstance(value, dict):
            _merge(order, value, here)


@lru_cache(maxsize=_READERS)
def _reader(
    known: "tuple[tuple[Path, Kind], ...]", flatten: int, order: "tuple[Path, ...]", json_values: bool
) -> "_Reader":
    places = {path: place for place, path in enumerate(order)}
    in_order = sorted(known, key=lambda column: places.get(column[0], len(places)))
    open_paths = [path for path, kind in known if kind is Kind.JSON and len(path) <= flatten]
    return _Reader(_Object(dict(in_order), ()), open_paths, bool(flatten), json_values)


class _Object:
    """An object whose keys have columns, or are objects of this kind. A column at the path of such an object, and a key
    that JSON escapes, are left out: records that have them are odd."""

    def __init__(self, known: "dict[Path, Kind]", path: "Path") -> None:
        depth = len(path)
        self.type: type[msgspec.Struct]
        self._fields: list[_Object | Field] = []
        keys = dict.fromkeys(column[depth] for column in known if column[:depth] == path and len(column) > depth)
        fields, names = [], {}
        for number, key in enumerate(key for key in keys if _is_plain(key)):
            name, here = f"f{number}", (*path, key)
            names[name] = key
            if any(column[: depth + 1] == here and len(column) > depth + 1 for column in known):
                inner = _Object(known, here)
                self._fields.append(inner)
                fields.append((name, inner.type | None | UnsetType, UNSET))
                continue
            self._fields.append(Field(here, known[here]))
            is_json = known[here] is Kind.JSON
            kind = msgspec.Raw if is_json else _TYPES.get(known[here], str) | None | UnsetType
            fields.append((name, kind, UNSET))
        self.type = msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)

    def gathered(self, objects: Sequence[Any]) -> "Iterator[tuple[Field, Sequence[Any]]]":
        """The values of the objects in each column. None and UNSET stand for objects that are not there."""
        try:
            columns = list(zip(*map(astuple, objects), strict=True))
        except TypeError:
            nothing = (None,) * len(self._fields)
            rows = [nothing if each is None or each is UNSET else astuple(each) for each in objects]
            columns = list(zip(*rows, strict=True))
        for field, values in zip(self._fields, columns, strict=True):
            if isinstance(field, _Object):
                yield from field.gathered(values)
            else:
                yield field, values


def _is_plain(key: str) -> bool:
    return key.isprintable() and '"' not in key and "\\" not in key


class _Reader:
    """Reads records of one shape. ``open_paths``: paths at which an object that is not empty would be flattened."""

    def __init__(self, record: _Object, open_paths: "Sequence[Path]", is_flattened: bool, json_values: bool) -> None:
        self._record = record
        self._open_paths = open_paths
        self._is_flattened = is_flattened
        self._json_values = json_values
        self._all = msgspec.json.Decoder(record.type).decode_lines
        self._one = msgspec.json.Decoder(record.type).decode

    def read(self, texts: Sequence[bytes | None]) -> Shaped | None:
        records: Sequence[Any] | None = self._together(texts)
        odd: list[int] = []
        if records is None:
            records = self._one_by_one(texts)
            if records is None:
                return None
            odd = [at for at, record in enumerate(records) if record is None]
        values = list(self._record.gathered(records))
        if nested := self._flattened(values):
            odd = sorted({*odd, *nested})
            left = {*odd}
            values = list(self._record.gathered([None if at in left else each for at, each in enumerate(records)]))
        if len(odd) * _ODD > len(texts):
            return None
        found = Shaped({}, {}, odd)
        for field, column in values:
            is_listed = odd or (self._json_values and field.kind is Kind.JSON)
            series = None if is_listed else field.series(column)
            if series is None:
                found.columns[field.path] = field.listed(column)
            else:
                found.series[field.path] = series
        return found

    def _together(self, texts: Sequence[bytes | None]) -> list[Any] | None:
        """The records of texts that are all as they should be. Where records and line breaks are as many as texts, and
        encoding the records gives the lines again, each text is one record: none has a line break inside."""
        try:
            lines = b"\n".join(texts) + b"\n"  # type: ignore[arg-type]  # None raises
            if lines.count(b"\n") != len(texts) or self._is_doubtful(lines):
                return None
            records = self._all(lines)
        except _UNREADABLE:
            return None
        return records if len(records) == len(texts) and _encoder.encode_lines(records) == lines else None

    def _one_by_one(self, texts: Sequence[bytes | None]) -> list[Any] | None:
        records: list[Any] = []
        odd = 0
        for text in texts:
            try:
                record = self._one(text)  # type: ignore[arg-type]  # None raises
                is_odd = _encoder.encode(record) != text or self._is_doubtful(text)
            except _UNREADABLE:
                is_odd = True
            records.append(None if is_odd else record)
            odd += is_odd
            if odd * _ODD > len(texts):
                return None
        return records

    def _is_doubtful(self, text: bytes) -> bool:
        """Whether the text may hold NUL or half a surrogate pair, or an empty object where objects are flattened."""
        return (b"\\" in text and _ESCAPE in text) or (self._is_flattened and _EMPTY in text)

    def _flattened(self, columns: "Sequence[tuple[Field, Sequence[Any]]]") -> set[int]:
        """The positions of the records with an object in a JSON column that should be flattened."""
        return {
            at
            for field, values in columns
            if field.path in self._open_paths
            for at, text in enumerate(json_texts(values))
            if text is not None and text.startswith(b"{")
        }
