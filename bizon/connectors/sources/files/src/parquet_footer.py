"""The row groups of a Parquet file, from its footer (https://github.com/apache/parquet-format). Polars does not report
them. Only the numbers of rows are read; everything else is skipped.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bizon.common.errors.errors import SourceFetchError
from bizon.rows.thrift import LIST, Reader

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.storage import OpenFile

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: length of the footer, magic
_ROW_GROUPS, _ROWS = 4, 3  # numbers of fields: in the footer, in a row group


def rows_of_groups(file: "OpenFile") -> list[int]:
    """The number of rows of each row group. Raises SourceFetchError."""
    size = file.info.size
    tail = file.read_at(max(0, size - _TAIL), _TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - _TAIL - len(_MAGIC):
        raise SourceFetchError(f"file {file.info.path} cannot be read as Parquet: it has no footer, or is cut off")
    try:
        return list(_row_groups(Reader(file.read_at(size - _TAIL - length, length))))
    except (ValueError, RecursionError):
        raise SourceFetchError(f"file {file.info.path} cannot be read as Parquet: its footer is damaged") from None


def _row_groups(footer: Reader) -> Iterator[int]:
    for number, kind in footer.fields():
        if number != _ROW_GROUPS or kind != LIST:
            footer.skip(kind)
            continue
        for _ in range(footer.list_head()[0]):
            yield _rows(footer)


def _rows(footer: Reader) -> int:
    rows = 0
    for number, kind in footer.fields():
        if number == _ROWS:
            rows = footer.integer()
        else:
            footer.skip(kind)
    return rows
