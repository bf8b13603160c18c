"""CSV files. Every value stays text."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.csv_blocks import regular_block, whole_records
from bizon.connectors.sources.files.src.csv_records import is_blank
from bizon.connectors.sources.files.src.json_rows import NO_ROWS, broken

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.content import Content
    from bizon.connectors.sources.files.src.csv_records import Dialect, Record
    from bizon.connectors.sources.files.src.frame_rows import FrameShape
    from bizon.connectors.sources.files.src.json_rows import Rows

_HEADER_SIZE = 65_536  # bytes that are read for the header first
_UNDECODED = re.compile("[\udc80-\udcff]")


class Header(NamedTuple):
    """The columns of a file. ``length``: bytes before the first record; ``lines``: the number of lines in them."""

    columns: list[str]
    length: int
    lines: int


class CsvReader:
    """A reader of rows. Rows are counted without the header; lines with it."""

    def __init__(
        self, content: "Content", dialect: "Dialect", columns: list[str], shape: "FrameShape", *, row: int, line: int
    ) -> None:
        self._content = content
        self._dialect = dialect
        self._columns = columns
        self._shape = shape
        self._row = row  # before the position
        self._line = line

    def read(self, size: int) -> "Rows":
        data = b""
        for data in self._content.growing(size):
            records = partial(self._dialect.records, is_whole=self._content.has_all)
            rows = self._quickly(data) or self._one_by_one(data, records)
            if rows is not None:
                return rows
            if not data:
                return NO_ROWS
        if b"\n" not in data:
            raise SourceFetchError(
                f"{self._content.place}, line {self._line + 1} has over {len(data):,} bytes: raise source.piece_size"
            )
        fault = f"a quote is not closed within {len(data):,} bytes, see source.piece_size"
        return self._one_by_one(data, lambda text: [self._dialect.first_line(text, 0, fault)]) or NO_ROWS

    def is_at_end(self) -> bool:
        return self._content.is_at_end()

    def position(self) -> dict[str, int]:
        return {"offset": self._content.position, "row": self._row, "line": self._line}

    def _quickly(self, data: bytes) -> "Rows | None":
        quote = self._dialect.quote
        length = len(data) if self._content.has_all else whole_records(data, quote.encode() if quote else None)
        if not length:
            return None
        block = data[:length]
        try:
            text = block if self._content.encoding == "utf-8" else block.decode(self._content.encoding).encode()
        except UnicodeError:
            return None
        frame = regular_block(text, self._columns, self._dialect.delimiter, quote)
        if frame is None:
            return None
        rows = self._shape.rows(frame, self._row)
        self._row += frame.height
        self._passed(block)
        return rows

    def _one_by_one(self, data: bytes, records: Callable[[str], Iterable["Record"]]) -> "Rows | None":
        """The rows of a block in which some line is not a record. None when it has no whole record."""
        encoding = self._content.encoding
        text = data.decode(encoding, "surrogateescape")
        line, end, values = self._line + 1, 0, list[list[str]]()
        faults: dict[int, str] = {}
        inputs: dict[int, str] = {}
        for record in records(text):
            given, end = text[record.start : record.end], record.end
            if not is_blank(given):
                fault = self._fault(record, given)
                if fault is not None:
                    whole = given.removesuffix("\n").encode(encoding, "surrogateescape")
                    faults[len(values)] = f"{self._shape.path}, line {line} is not a record: {fault}"
                    inputs[len(values)] = broken(self._shape.path, line, whole, encoding)
                values.append([""] * len(self._columns) if fault else record.fields)
            line += given.count("\n")
        if not end:
            return None
        frame = pl.DataFrame(values, schema=dict.fromkeys(self._columns, pl.String()), orient="row")
        rows = self._shape.rows(frame, self._row, faults, inputs)
        self._row += frame.height
        self._passed(text[:end].encode(encoding, "surrogateescape"))
        return rows

    def _fault(self, record: "Record", given: str) -> str | None:
        if _UNDECODED.search(given):
            return f"it is not valid {self._content.encoding}"
        if record.fault is None and len(record.fields) != len(self._columns):
            return f"it has {len(record.fields)} fields, and there are {len(self._columns)} columns"
        return record.fault

    def _passed(self, block: bytes) -> None:
        self._content.consume(len(block))
        self._line += block.count(b"\n")


def read_header(content: "Content", dialect: "Dialect", *, has_header: bool, names: tuple[str, ...] | None) -> Header:
    """The columns of a file, read from its start. ``names`` replace the names in the header. A file without a line has
    no columns. Raises SourceFetchError for a header that cannot be used."""
    first = _first_record(content, dialect)
    if first is None:
        return Header(list(names or ()), 0, 0)
    record, length, lines = first
    if not has_header:
        return Header(list(names or _numbered(record.fields)), 0, 0)
    if names is None and record.fault is not None:
        raise SourceFetchError(f"{content.place}: its header is not a record, {record.fault}; set source.columns")
    columns = list(names or (name or f"column_{number}" for number, name in enumerate(record.fields, start=1)))
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise SourceFetchError(f"{content.place}: two columns are named '{twice}'; name all in source.columns")
    return Header(columns, length, lines)


def _first_record(content: "Content", dialect: "Dialect") -> tuple["Record", int, int] | None:
    """The first record that is not an empty line, with the bytes and lines up to its end."""
    data = b""
    for data in content.growing(_HEADER_SIZE):
        text = data.decode(content.encoding, "surrogateescape")
        for record in dialect.records(text, is_whole=content.has_all):
            if not is_blank(text[record.start : record.end]):
                passed = text[: record.end].encode(content.encoding, "surrogateescape")
                return record, content.position + len(passed), passed.count(b"\n")
        if content.has_all:
            return None
    raise SourceFetchError(f"{content.place}: its first record has more than {len(data):,} bytes")


def _numbered(fields: list[str]) -> list[str]:
    return [f"column_{number}" for number in range(1, len(fields) + 1)]
