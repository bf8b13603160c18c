"""Records of CSV text one by one, for text that is not quite regular: each fault is found, and the rest is read.

The rules are the ones in RFC 4180: a field is quoted as a whole or not at all, quotes inside are doubled, and a quoted
field may have line breaks. A record that breaks them ends with its line, so that one fault costs one line.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRAY = "a quote is inside of a field without quotes"
_AFTER_QUOTES = "after a field in quotes comes more text"


class Record(NamedTuple):
    """One record. ``start`` and ``end``: its place in the text, with its line break. ``fault``: why it is none."""

    start: int
    end: int
    fields: list[str]
    fault: str | None


class Dialect:
    """Delimiter and quote of a file. ``quote`` is None when there is no quoting."""

    def __init__(self, delimiter: str, quote: str | None) -> None:
        self.delimiter = delimiter
        self.quote = quote
        marks = re.escape(delimiter)
        self._bare = re.compile(f"[^{marks}{re.escape(quote or '')}\n]*")
        q = re.escape(quote or "")
        self._quoted = re.compile(f"{q}([^{q}]*+(?:{q}{q}[^{q}]*+)*+){q}") if quote else None

    def records(self, text: str, *, is_whole: bool) -> Iterator[Record]:
        """The records of a text. Not ``is_whole``: the text may go on, and a record at its end is left out unless it
        has its line break."""
        position = 0
        while position < len(text):
            record = self._record(text, position, is_whole=is_whole)
            if record is None:
                return
            yield record
            position = record.end

    def _record(self, text: str, start: int, *, is_whole: bool) -> Record | None:
        fields: list[str] = []
        position = start
        while True:
            is_quoted = self._quoted is not None and text.startswith(self.quote or "", position)
            pattern = self._quoted if is_quoted and self._quoted else self._bare
            found = pattern.match(text, position)
            if found is None:
                return self.first_line(text, start, "a quote is never closed") if is_whole else None
            position = found.end()
            fields.append(found[1].replace(f"{self.quote}{self.quote}", self.quote or "") if is_quoted else found[0])
            end = self._end_of_record(text, position, is_quoted=is_quoted)
            if end is not None:
                if end == len(text) and not text.endswith("\n") and not is_whole:
                    return None
                if not is_quoted and end > position:
                    fields[-1] = fields[-1].removesuffix("\r")
                return Record(start, end, fields, None)
            if not text.startswith(self.delimiter, position):
                may_go_on = text.find("\n", start) < 0 or (is_quoted and text[position:] == "\r")
                if may_go_on and not is_whole:
                    return None
                return self.first_line(text, start, _AFTER_QUOTES if is_quoted else _STRAY)
            position += 1

    def _end_of_record(self, text: str, position: int, *, is_quoted: bool) -> int | None:
        """The end of the record when no field follows, else None."""
        if position == len(text):
            return position
        if text.startswith("\n", position):
            return position + 1
        return position + 2 if is_quoted and text.startswith("\r\n", position) else None

    def first_line(self, text: str, start: int, fault: str) -> Record:
        """The line that begins here, with its fault."""
        return Record(start, text.find("\n", start) + 1 or len(text), [], fault)


def is_blank(line: str) -> bool:
    """Whether the text of a record is an empty line."""
    return not line.strip("\r\n")
