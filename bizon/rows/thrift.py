"""Thrift's compact protocol, as far as the metadata of a Parquet file needs it: read or skip, change a field, write.

A value keeps the type it was read with, so an unchanged value is written as it was. Structs are dicts from field number
to :class:`Value`; lists and sets are lists of Values. Parquet uses no maps; they are skipped, and not read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_LONG_LIST = 15  # in the four bits of a short list's length: the length follows
_LARGEST_DELTA = 15


@dataclass(slots=True)
class Value:
    """``data``: bool, int, float, bytes, a list of Values, or a dict of Values. ``item``: type of a list's items."""

    type: int
    data: Any
    item: int = 0


class Reader:
    """Reads values from the start of ``buffer``, or skips them. Raises ValueError for malformed input."""

    def __init__(self, buffer: bytes) -> None:
        self._buffer = buffer
        self._at = 0

    def struct(self) -> dict[int, Value]:
        """The fields of a struct."""
        return {number: self._value(kind) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct. The caller reads or skips each value before it goes on."""
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self.integer()
            yield number, header & 15

    def integer(self) -> int:
        """The value of a field of type I16, I32 or I64."""
        return _unzigzag(self._varint())

    def list_head(self) -> tuple[int, int]:
        """Number and type of the items of a list or set; the items follow."""
        header = self._byte()
        length = header >> 4
        return (self._varint() if length == _LONG_LIST else length), header & 15

    def skip(self, kind: int, *, is_item: bool = False) -> None:
        """Move to the end of a value. Nothing is kept of it, however large it is."""
        if kind in (TRUE, FALSE):
            self._take(1 if is_item else 0)
        elif kind == BYTE:
            self._take(1)
        elif kind == DOUBLE:
            self._take(8)
        elif kind == BINARY:
            self._take(self._varint())
        elif kind in (LIST, SET):
            length, item = self.list_head()
            for _ in range(length):
                self.skip(item, is_item=True)
        elif kind == MAP:
            self._skip_map()
        elif kind == STRUCT:
            for _, field in self.fields():
                self.skip(field)
        elif kind in (I16, I32, I64):
            self._varint()
        else:
            raise ValueError(f"type {kind} is unknown")

    def _skip_map(self) -> None:
        length = self._varint()
        kinds = self._byte() if length else 0
        for _ in range(length):
            self.skip(kinds >> 4, is_item=True)
            self.skip(kinds & 15, is_item=True)

    def _value(self, kind: int) -> Value:
        if kind in (TRUE, FALSE):
            return Value(kind, kind == TRUE)
        if kind == BYTE:
            return Value(kind, self._byte())
        if kind in (I16, I32, I64):
            return Value(kind, self.integer())
        if kind == DOUBLE:
            return Value(kind, struct.unpack("<d", self._take(8))[0])
        if kind == BINARY:
            return Value(kind, self._take(self._varint()))
        if kind in (LIST, SET):
            length, item = self.list_head()
            return Value(kind, [self._item(item) for _ in range(length)], item)
        if kind == STRUCT:
            return Value(kind, self.struct())
        raise ValueError(f"type {kind} is not used in Parquet metadata")

    def _item(self, kind: int) -> Value:
        if kind in (TRUE, FALSE):  # in a list a boolean is a byte
            return Value(kind, self._byte() == TRUE)
        return self._value(kind)

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, length: int) -> bytes:
        taken = self._buffer[self._at : self._at + length]
        if len(taken) < length:
            raise ValueError("the metadata ends too early")
        self._at += length
        return taken

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7


def write_struct(fields: dict[int, Value]) -> bytes:
    """The bytes of a struct."""
    out = bytearray()
    last = 0
    for number, value in sorted(fields.items()):
        kind = (TRUE if value.data else FALSE) if value.type in (TRUE, FALSE) else value.type
        delta = number - last
        out += bytes([delta << 4 | kind]) if 0 < delta <= _LARGEST_DELTA else bytes([kind]) + _varint(_zigzag(number))
        out += _content(value)
        last = number
    return bytes(out) + b"\0"


def _content(value: Value) -> bytes:
    if value.type in (TRUE, FALSE):
        return b""
    if value.type == BYTE:
        return bytes([value.data])
    if value.type in (I16, I32, I64):
        return _varint(_zigzag(value.data))
    if value.type == DOUBLE:
        return struct.pack("<d", value.data)
    if value.type == BINARY:
        return _varint(len(value.data)) + bytes(value.data)
    if value.type == STRUCT:
        return write_struct(value.data)
    length = len(value.data)
    header = bytes([length << 4 | value.item]) if length < _LONG_LIST else bytes([240 | value.item]) + _varint(length)
    return header + b"".join(_item(each) for each in value.data)


def _item(value: Value) -> bytes:
    if value.type in (TRUE, FALSE):
        return bytes([TRUE if value.data else FALSE])
    return _content(value)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return number >> 1 if not number & 1 else -(number + 1 >> 1)
