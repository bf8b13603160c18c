"""Merges Parquet files without decoding them: row groups are copied, the footers become one.

That takes 0.05 seconds of CPU for 360,000 rows in 12 files (39 MB), against 0.55 to read and write them with Polars.

A file is ``PAR1``, row groups, metadata, length of the metadata (4 bytes, little endian), ``PAR1``. The metadata refers
to places in the file by offset; the offsets move with the row groups. Page indexes hold such offsets outside the
metadata, so they are left out.
"""

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bizon.connectors.destinations.file.src.durable import copy_bytes
from bizon.rows.thrift import Reader, Value, write_struct

MAGIC = b"PAR1"
_TAIL = len(MAGIC) + 4
# field numbers in the metadata of a file, of a row group, of a column in it, and of that column's content
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_FILE_OFFSET, _CONTENT, _PAGE_INDEXES = 2, 3, (4, 5, 6, 7)
_CONTENT_OFFSETS = (9, 10, 11, 14)  # data pages, index pages, dictionary pages, Bloom filter


class _Footer(NamedTuple):
    """Metadata of a file, and where it begins."""

    start: int
    metadata: dict[int, Value]


def can_merge(paths: list[Path]) -> bool:
    """True when all are Parquet files with the same schema, written by the same kind of writer."""
    try:
        footers = [_footer(path) for path in paths]
    except (ValueError, OSError, IndexError):
        return False
    first = footers[0].metadata
    return all(
        footer.metadata.get(field) == first.get(field)
        for footer in footers[1:]
        for field in first.keys() | footer.metadata.keys()
        if field not in (_NUM_ROWS, _ROW_GROUPS)
    )


def merge(paths: list[Path], target: BinaryIO) -> None:
    """Write the rows of all files, in order, to ``target``. Raises OSError and ValueError."""
    target.write(MAGIC)
    target.flush()
    merged = _footer(paths[0]).metadata
    groups: list[Value] = []
    rows = 0
    for path in paths:
        footer = _footer(path)
        start = target.tell()
        with path.open("rb") as source:
            source.seek(len(MAGIC))
            copy_bytes(source, target, footer.start - len(MAGIC))
        if target.tell() - start != footer.start - len(MAGIC):
            raise OSError(f"{path} changed while it was copied")
        for group in footer.metadata[_ROW_GROUPS].data:
            _move(group.data, start - len(MAGIC))
            if _ORDINAL in group.data:
                group.data[_ORDINAL].data = len(groups)
            groups.append(group)
        rows += footer.metadata[_NUM_ROWS].data
    merged[_NUM_ROWS].data = rows
    merged[_ROW_GROUPS].data = groups
    metadata = write_struct(merged)
    target.write(metadata + len(metadata).to_bytes(4, "little") + MAGIC)
    target.flush()


def _move(group: dict[int, Value], by: int) -> None:
    """Move the offsets of a row group to where it is now."""
    offsets = [group.get(_GROUP_OFFSET)]
    for column in group[_COLUMNS].data:
        for index in _PAGE_INDEXES:
            column.data.pop(index, None)
        offsets.append(column.data.get(_FILE_OFFSET))
        offsets += [column.data[_CONTENT].data.get(field) for field in _CONTENT_OFFSETS]
    for offset in offsets:
        if offset is not None and offset.data:
            offset.data += by


def _footer(path: Path) -> _Footer:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < len(MAGIC) + _TAIL:
            raise ValueError(f"{path} is not a Parquet file")
        file.seek(size - _TAIL)
        tail = file.read(_TAIL)
        start = size - _TAIL - int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or start < len(MAGIC):
            raise ValueError(f"{path} is not a Parquet file")
        file.seek(start)
        return _Footer(start, Reader(file.read(size - _TAIL - start)).struct())
