"""Files that are one JSON array, or one object, read value by value. The text of a value is kept."""

import codecs
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.exact_values import IncompleteError, value_at
from bizon.connectors.sources.files.src.json_rows import Rows, broken
from bizon.rows.frames import text_series

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.content import Content
    from bizon.connectors.sources.files.src.line_shape import LineShape

_BLANK = " \t\r\n"
_LINE_BREAKS = str.maketrans("\r\n", "  ")


class JsonReader:
    """A reader of rows. Between two reads, the position is right after a value."""

    def __init__(self, content: "Content", shape: "LineShape", row: int) -> None:
        self._content = content
        self._shape = shape
        self._row = row  # values before the position
        self._is_array = row > 0
        self._is_finished = False

    def read(self, size: int) -> Rows:
        texts: list[str] = []
        ids: list[str] = []
        faults: dict[int, str] = {}
        for data in self._content.growing(size):
            self._read_values(self._text(data), texts, ids, faults)
            if texts or self._is_finished:
                break
        else:
            raise self._wrong("comes one that is too long, or nothing: raise source.piece_size")
        return Rows(text_series("data", texts), text_series("id", ids), faults)

    def is_at_end(self) -> bool:
        return self._is_finished

    def position(self) -> dict[str, int]:
        return {"offset": self._content.position, "row": self._row}

    def _text(self, data: bytes) -> str:
        decoder = codecs.getincrementaldecoder(self._content.encoding)()
        try:
            return decoder.decode(data, final=self._content.has_all)
        except UnicodeDecodeError as error:
            at = self._content.position + error.start
            raise self._wrong(f"is not valid {self._content.encoding} at byte {at:,}") from None

    def _read_values(self, text: str, texts: list[str], ids: list[str], faults: dict[int, str]) -> None:
        """Read the values that the text has in full, and consume them."""
        end = start = 0
        try:
            while not self._is_finished:
                start = self._start_of_value(text, end)
                if self._is_finished:
                    end = start
                    break
                value, end = value_at(text, start)
                self._row += 1
                self._is_finished = not self._is_array
                self._add(text[start:end], value, texts, ids, faults)
        except IncompleteError as error:
            if self._content.has_all:
                raise self._wrong(f"is cut off, or not valid JSON: {error}") from None
        except ValueError as error:
            at = self._content.position + len(text[:start].encode(self._content.encoding))
            raise self._wrong(f"is not valid JSON after byte {at:,}: {error}") from None
        self._content.consume(len(text[:end].encode(self._content.encoding)))
        if self._is_finished:
            self._needs_the_end()

    def _start_of_value(self, text: str, position: int) -> int:
        """Where the next value starts; sets ``_is_finished`` after the last one."""
        position = self._after_blanks(text, position)
        if self._row == 0:
            return self._start_of_first(text, position)
        if text[position] == "]":
            self._is_finished = True
            return position + 1
        if text[position] != ",":
            raise ValueError("there must be a comma between two values")
        return self._after_blanks(text, position + 1)

    def _start_of_first(self, text: str, position: int) -> int:
        self._is_array = text[position] == "["
        if not self._is_array and text[position] != "{":
            raise ValueError("it must be one array or one object; for an object per line set source.format: ndjson")
        if self._is_array:
            position = self._after_blanks(text, position + 1)
            self._is_finished = text[position] == "]"
        return position + self._is_finished

    def _after_blanks(self, text: str, position: int) -> int:
        while position < len(text) and text[position] in _BLANK:
            position += 1
        if position == len(text):
            raise IncompleteError("it ends before its last bracket")
        return position

    def _add(self, text: str, value: Any, texts: list[str], ids: list[str], faults: dict[int, str]) -> None:
        text = text.translate(_LINE_BREAKS) if "\n" in text or "\r" in text else text
        path, row = self._shape.path, self._row
        try:
            text, id_ = self._shape.record(text, value, row)
        except ValueError as error:
            faults[len(texts)] = f"{path}, value {row} is not a record: {error}"
            text, id_ = broken(path, row, text.encode("utf-8", "surrogatepass"), "utf-8"), self._shape.numbered(row)
        texts.append(text)
        ids.append(id_)

    def _needs_the_end(self) -> None:
        while not self._content.is_at_end():
            data = self._content.ahead(1)
            if data.strip():
                raise self._wrong("is followed by more text: a JSON file is one array or one object")
            self._content.consume(len(data))

    def _wrong(self, what: str) -> SourceFetchError:
        return SourceFetchError(f"{self._content.place}, after {self._row} values, {what}")
