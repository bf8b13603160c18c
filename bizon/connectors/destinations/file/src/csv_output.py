"""A CSV file from one that is there and from staged parts, which are Parquet.

New columns come at the end of each line, so the lines that are there get commas, and are not decoded.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.file.src.file_rows import write_csv_rows

_BLOCK = 1024 * 1024
_END_OF_LINE = re.compile(rb"\r?\n")
_BYTE_ORDER_MARK = "\ufeff"
_QUOTE = b'"'


def header_of(main: Path) -> list[str]:
    """The names of the columns of a file; none for an empty one. Raises DestinationError when they cannot be read, or
    when two are the same."""
    with main.open("rb") as file:
        line = _first_line(file)
    try:
        names = next(csv.reader([line.decode().removeprefix(_BYTE_ORDER_MARK)], strict=True), [])
    except (ValueError, csv.Error) as error:
        raise _foreign(main, f"its first line cannot be read: {error}") from None
    if len({*names}) < len(names):
        raise _foreign(main, "two of its columns have the same name")
    return names


def has_lines(main: Path) -> bool:
    """Whether a file has more than its header."""
    with main.open("rb") as file:
        _first_line(file)
        return bool(file.read(1))


def write_csv(main: Path | None, parts: Sequence[Path], target: BinaryIO) -> None:
    """Write the lines of ``main``, if it is given, and the rows of the parts, with the columns of all of them. One part
    is in memory at a time."""
    names = dict.fromkeys(header_of(main) if main is not None else ())
    before = len(names)
    schemas = [pl.read_parquet_schema(part) for part in parts]
    for schema in schemas:
        names.update(dict.fromkeys(schema))
    write_csv_rows(pl.DataFrame(schema=dict.fromkeys(names, pl.String())), target)
    if main is not None:
        _copy_lines(main, target, b"," * (len(names) - before))
    for part in parts:
        frame = pl.read_parquet(part, glob=False)
        absent = [pl.lit(None, dtype=pl.String).alias(name) for name in names if name not in frame.columns]
        write_csv_rows(frame.with_columns(absent).select(*names), target, header=False)
    target.flush()


def _copy_lines(main: Path, target: BinaryIO, more: bytes) -> None:
    """Copy the lines after the header; each gets ``more`` at its end."""
    is_quoted = False
    last = b"\n"
    with main.open("rb") as source:
        _first_line(source)
        for block in _blocks(source):
            pieces = block.split(_QUOTE)
            if more:
                first = 1 if is_quoted else 0
                pieces[first::2] = [_END_OF_LINE.sub(more + rb"\g<0>", piece) for piece in pieces[first::2]]
            is_quoted ^= len(pieces) % 2 == 0
            target.write(_QUOTE.join(pieces))
            last = block[-1:]
    if last != b"\n":
        target.write(more + b"\n")


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file; each block ends with a newline, if it can."""
    while block := source.read(_BLOCK):
        yield block + source.readline() if not block.endswith(b"\n") else block


def _first_line(source: BinaryIO) -> bytes:
    """The first line with a name for each column; a quoted name may contain newlines."""
    line = b""
    while more := source.readline():
        line += more
        if not line.count(_QUOTE) % 2:
            break
    return line


def _foreign(main: Path, why: str) -> DestinationError:
    return DestinationError(
        f"'{main}' cannot be appended to: {why}; move it away, write to another destination_id, or run with --fresh "
        f"to load everything again"
    )
