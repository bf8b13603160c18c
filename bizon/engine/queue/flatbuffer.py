"""Reads the few flatbuffer fields of a queue message's frame, and never beyond its bytes.

root     offset of the table (4, unsigned)
table    offset back to its vtable (4, signed) | fields
vtable   its size (2) | size of the table (2) | for each field its place in the table, 0 = the default (2)
vector   count (4) | items                                                       integers are little endian
"""

import struct
from typing import Self

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
_HEAD = 4  # bytes of a vtable before the places of its fields


class Table:
    """A table. A place outside the bytes raises ValueError or struct.error."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        self._vtable = place - _I32.unpack_from(data, place)[0]
        if self._vtable < 0:  # a negative index would count from the end
            raise ValueError("a table of the frame lies outside it")
        self._size = _U16.unpack_from(data, self._vtable)[0]

    @classmethod
    def root(cls, data: bytes) -> Self:
        """The root table of a flatbuffer."""
        return cls(data, _U32.unpack_from(data)[0])

    def number(self, field: int, form: str) -> int:
        """A field with a number; ``form`` as in ``struct``."""
        place = self._find(field)
        return 0 if place is None else int(struct.unpack_from(f"<{form}", self._data, place)[0])

    def table(self, field: int) -> "Table | None":
        """A field with another table, None when it is missing."""
        place = self._find(field)
        return None if place is None else Table(self._data, place + _U32.unpack_from(self._data, place)[0])

    def vector(self, field: int, form: str) -> list[tuple[int, ...]]:
        """A field with a vector of items; each item has the numbers in ``form``."""
        place = self._find(field)
        if place is None:
            return []
        place += _U32.unpack_from(self._data, place)[0]
        (count,) = _U32.unpack_from(self._data, place)
        item = struct.Struct(f"<{form}")
        begin = place + _U32.size
        if count * item.size > len(self._data) - begin:
            raise ValueError(f"the frame claims {count} items, which it does not have")
        return list(item.iter_unpack(self._data[begin : begin + count * item.size]))

    def _find(self, field: int) -> int | None:
        entry = _HEAD + _U16.size * field
        if entry + _U16.size > self._size:
            return None
        offset = _U16.unpack_from(self._data, self._vtable + entry)[0]
        return self._place + int(offset) if offset else None
