"""The row groups of a Parquet file, from its footer. Polars does not tell them.

The footer is a struct of Thrift's compact protocol (https://github.com/apache/parquet-format). Only the numbers of rows
are read; everything else is passed over.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bizon.common.errors.errors import SourceFetchError

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.storage import OpenFile

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: length of the footer, magic
_ROW_GROUPS, _ROWS = 4, 3  # numbers of fields: in the footer, in a row group
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_LONG = 15  # a list with more elements has its length in the next bytes


def rows_of_groups(file: "OpenFile") -> list[int]:
    """The number of rows of each row group. Raises SourceFetchError."""
    size = file.info.size
    tail = file.read_at(max(0, size - _TAIL), _TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - _TAIL - len(_MAGIC):
        raise SourceFetchError(f"file {file.info.path} cannot be read as Parquet: it has no footer, or is cut off")
    try:
        return list(_Footer(file.read_at(size - _TAIL - length, length)).row_groups())
    except (IndexError, RecursionError):
        raise SourceFetchError(f"file {file.info.path} cannot be read as Parquet: its footer is damaged") from None


class _Footer:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def row_groups(self) -> Iterator[int]:
        for number, kind in self._fields():
            if number != _ROW_GROUPS or kind != _LIST:
                self._pass(kind)
                continue
            for _ in range(self._list()[0]):
                yield self._rows()

    def _rows(self) -> int:
        rows = 0
        for number, kind in self._fields():
            if number == _ROWS:
                rows = self._integer()
            else:
                self._pass(kind)
        return rows

    def _fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; the caller reads its value before it asks for the next one."""
        number = 0
        while (head := self._byte()) & 0x0F != _STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 0x0F

    def _pass(self, kind: int, *, is_element: bool = False) -> None:
        """Move to the end of a value. The value of a boolean is in its type, but for an element of a list."""
        if kind in (_TRUE, _FALSE):
            self._at += is_element
        elif kind == _BYTE:
            self._at += 1
        elif kind == _DOUBLE:
            self._at += 8
        elif kind == _BINARY:
            length = self._number()
            self._at += length
        elif kind in (_LIST, _SET):
            count, element = self._list()
            for _ in range(count):
                self._pass(element, is_element=True)
        elif kind == _MAP:
            self._pass_map()
        elif kind == _STRUCT:
            for _, field in self._fields():
                self._pass(field)
        else:
            self._number()

    def _pass_map(self) -> None:
        count = self._number()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._pass(kinds >> 4, is_element=True)
            self._pass(kinds & 0x0F, is_element=True)

    def _list(self) -> tuple[int, int]:
        """Number and type of the elements of a list."""
        head = self._byte()
        count = head >> 4
        return (self._number() if count == _LONG else count), head & 0x0F

    def _integer(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _number(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte
