"""From an answer to a JSON value: JSON, lines of JSON, CSV or XML, plain or as a gzip file."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.rest.src.xml import ParseError, parsed
from bizon.rows.kept_json import decoder_for, loads_kept
from bizon.source.body import declared_charset, decode_json, shown_url

if TYPE_CHECKING:
    from bizon.source.body import Response

_GZIP = b"\x1f\x8b"
_NOT_A_NAME = ("{", "[", "<")  # an error as JSON or HTML would be a header without rows, and so an empty list
_TYPES = (
    ("ndjson", ("ndjson", "jsonl", "jsonlines", "x-json-stream")),
    ("csv", ("text/csv", "application/csv", "text/comma-separated-values")),
    ("xml", ("/xml", "+xml")),
)


def value_of(answer: "Response", layout: str) -> Any:
    """The answer as a JSON value, whose numbers keep their text. ``layout``: the configured format, or ``auto``. Lines
    and rows become a list of objects; an XML document an object with the name of its root.

    Raises SourceFetchError, which names the path, for a body in another format.
    """
    layout = _by_label(answer) if layout == "auto" else layout
    body = answer.content or b""
    is_packed = body.startswith(_GZIP)
    if layout == "json" and not is_packed:
        return answer.decoded(loads_kept)
    try:
        body = gzip.decompress(body) if is_packed else body
        charset = declared_charset(answer)
        if layout == "xml":
            return parsed(decode_json(body, charset) if charset else body)  # else its declaration names the charset
        return _READERS[layout](decode_json(body, charset))
    except (ValueError, EOFError, OSError, zlib.error, ParseError) as error:
        why = " ".join(str(error).split())
        place = f"{answer.request.method} {shown_url(answer.url)}: HTTP {answer.status_code}"
        raise SourceFetchError(f"{place}: the body is not valid {layout}: {why}") from None


def _by_label(answer: "Response") -> str:
    label = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return next((layout for layout, signs in _TYPES if any(sign in label for sign in signs)), "json")


def _lines(text: str) -> list[Any]:
    found, loads = [], decoder_for(text)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}") from None
    return found


def _rows(text: str) -> list[dict[str, str]]:
    """The rows below the header. Empty lines are skipped; a row with more or fewer fields is an error."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header and header[0].lstrip().startswith(_NOT_A_NAME):
            raise ValueError("the first line is not a header of columns")
        if len(set(header)) != len(header):
            raise ValueError("two columns have the same name")
        found = []
        for row in reader:
            if row and len(row) != len(header):
                raise ValueError(f"line {reader.line_num}: {len(row)} fields, and the header has {len(header)}")
            if row:
                found.append(dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return found


_READERS: dict[str, Callable[[str], Any]] = {"json": loads_kept, "ndjson": _lines, "csv": _rows}
