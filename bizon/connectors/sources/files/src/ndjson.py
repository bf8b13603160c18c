"""Files with one JSON object per line. Good lines are passed on as they are; nothing encodes them again."""

from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.exact_values import only_value
from bizon.connectors.sources.files.src.json_rows import Rows, broken, joined
from bizon.rows.frames import text_series

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.content import Content
    from bizon.connectors.sources.files.src.line_shape import LineShape

_BLANK = " \t\r"
_AT_ONCE = 1_048_576  # bytes: reading and parsing them takes several times their memory


class NdjsonReader:
    """A reader of rows. The number of a row is the number of its line."""

    def __init__(self, content: "Content", shape: "LineShape", line: int) -> None:
        self._content = content
        self._shape = shape
        self._line = line  # lines before the position

    def read(self, size: int) -> Rows:
        step = min(size, _AT_ONCE)
        found: list[Rows] = []
        while not found or size >= step:
            block = whole_lines(self._content, step, self._line)
            self._content.consume(len(block))
            found.append(self._rows(block))
            size = size - len(block) if block else 0
        return joined(found)

    def _rows(self, block: bytes) -> Rows:
        first = self._line + 1
        self._line += block.count(b"\n") + (not block.endswith(b"\n")) if block else 0
        return self._quickly(block, first) or self._one_by_one(block.removesuffix(b"\n").split(b"\n"), first)

    def is_at_end(self) -> bool:
        return self._content.is_at_end()

    def position(self) -> dict[str, int]:
        return {"offset": self._content.position, "row": self._line}

    def _quickly(self, block: bytes, first: int) -> Rows | None:
        """The rows of a block in which every line is an object, or blank; None for any other block."""
        try:
            text = block.decode(self._content.encoding)
            lines = pl.Series(text.removesuffix("\n").split("\n"), dtype=pl.String)
        except UnicodeError:
            return None
        numbers = pl.int_range(first, first + lines.len(), eager=True)
        if not _are_objects(lines):
            stripped = lines.str.strip_chars(_BLANK)
            kept = stripped.str.len_bytes() > 0
            lines, numbers = stripped.filter(kept), numbers.filter(kept)
            if not _are_objects(lines):
                return None
        return self._shape.rows(lines, numbers, block if self._content.encoding == "utf-8" else text.encode())

    def _one_by_one(self, lines: list[bytes], first: int) -> Rows:
        encoding, path = self._content.encoding, self._shape.path
        texts: list[str] = []
        ids: list[str] = []
        faults: dict[int, str] = {}
        for number, line in enumerate(lines, start=first):
            if not line.strip():
                continue
            try:
                text = line.decode(encoding).strip(_BLANK)
                text, id_ = self._shape.record(text, only_value(text), number)
            except ValueError as error:
                reason = f"it is not valid {encoding}" if isinstance(error, UnicodeError) else str(error)
                faults[len(texts)] = f"{path}, line {number} is not a record: {reason}"
                text, id_ = broken(path, number, line, encoding), self._shape.numbered(number)
            texts.append(text)
            ids.append(id_)
        return Rows(text_series("data", texts), text_series("id", ids), faults)


def _are_objects(lines: pl.Series) -> bool:
    return bool((lines.str.starts_with("{") & lines.str.ends_with("}")).all())


def whole_lines(content: "Content", size: int, lines_before: int) -> bytes:
    """The bytes up to the last line break in a piece, or up to the end of the file. A longer line gets more pieces.
    Raises SourceFetchError for a line that is too long."""
    data = b""
    for data in content.growing(size):
        cut = len(data) if content.has_all else data.rfind(b"\n") + 1
        if cut or not data:
            return data[:cut]
    raise SourceFetchError(
        f"{content.place}, line {lines_before + 1} has more than {len(data):,} bytes: raise source.piece_size"
    )
