"""From an answer to a JSON value: JSON, lines of JSON, CSV or XML, plain or as a gzip file."""

import csv
import gzip
import zlib
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import orjson
import requests

from bizon.common.errors.errors import SourceFetchError
from bizon.source.body import decode_json, shown_url

_GZIP = b"\x1f\x8b"
_TYPES = (
    ("ndjson", ("ndjson", "jsonl", "jsonlines", "x-json-stream")),
    ("csv", ("text/csv", "application/csv", "text/comma-separated-values")),
    ("xml", ("/xml", "+xml")),
)
_TEXT_OF_XML = "#text"


def value_of(answer: requests.Response, layout: str) -> Any:
    """The answer as a JSON value. ``layout``: the configured format, or ``auto``. Lines and rows become a list of
    objects; an XML document an object with the name of its root.

    Raises SourceFetchError, which names the path, for a body in another format.
    """
    layout = _by_label(answer) if layout == "auto" else layout
    body = answer.content or b""
    is_packed = body.startswith(_GZIP)
    if layout == "json" and not is_packed:
        return answer.json()
    try:
        text = _text(gzip.decompress(body) if is_packed else body, answer)
        return _READERS[layout](text)
    except (ValueError, EOFError, OSError, zlib.error, ElementTree.ParseError) as error:
        why = " ".join(str(error).split())
        place = f"{answer.request.method} {shown_url(answer.url)}: HTTP {answer.status_code}"
        raise SourceFetchError(f"{place}: the body is not valid {layout}: {why}") from None


def _by_label(answer: requests.Response) -> str:
    label = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return next((layout for layout, signs in _TYPES if any(sign in label for sign in signs)), "json")


def _text(body: bytes, answer: requests.Response) -> str:
    label = answer.headers.get("Content-Type", "")
    return decode_json(body, label.partition("charset=")[2].split(";")[0].strip("\"' ") or None)


def _lines(text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}") from None
    return found


def _rows(text: str) -> list[dict[str, str]]:
    """The rows below the header. Empty lines are skipped; a row with more or fewer fields is an error."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
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


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses declarations of a document type, which can make a small body expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type declaration is not accepted")


class XmlDocument(dict[str, Any]):
    """An XML document as an object. In it a list of one is no list, and an empty list may not be there."""


def _xml(text: str) -> XmlDocument:
    parser = ElementTree.XMLParser(target=_NoDoctype())
    root = ElementTree.fromstring(text, parser=parser)
    return XmlDocument({_name(root.tag): _element(root)})


def _element(element: ElementTree.Element) -> Any:
    """The attributes as ``@name``, the elements by name (a list when there are several), the text as ``#text``, or
    alone."""
    found: dict[str, Any] = {f"@{_name(name)}": value for name, value in element.attrib.items()}
    children: dict[str, list[Any]] = {}
    for child in element:
        children.setdefault(_name(child.tag), []).append(_element(child))
    found |= {name: values if len(values) > 1 else values[0] for name, values in children.items()}
    text = (element.text or "").strip()
    if not found:
        return text
    return {**found, _TEXT_OF_XML: text} if text else found


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


_READERS = {"json": orjson.loads, "ndjson": _lines, "csv": _rows, "xml": _xml}
