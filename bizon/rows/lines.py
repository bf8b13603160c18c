"""Lines of JSON in any form: one text of many lines, or a list of lines."""

import re
from base64 import b64encode
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence

import orjson
import polars as pl

_SURROGATE = re.compile("[\ud800-\udfff]")


def split_lines(text: bytes | str | Sequence[bytes] | Sequence[str] | pl.Series) -> tuple[pl.Series, dict[int, str]]:
    """The lines as a series of strings. A line that cannot be decoded is replaced by an object with its bytes; the
    reasons are returned by line number, from 0. A byte order mark at the start of one text is removed."""
    if isinstance(text, pl.Series):
        return (text, {}) if text.dtype == pl.String else _decoded(text)
    if not isinstance(text, bytes | str):
        return _decoded(pl.Series(text, dtype=pl.Binary)) if {*map(type, text)} <= {bytes} else _each_decoded(text)
    try:
        whole = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        lines = [line.removesuffix(b"\r") for line in error.object.removeprefix(BOM_UTF8).split(b"\n")]
        return _each_decoded([line for line in lines if line.strip()])
    whole = whole.removeprefix("\ufeff")
    split = (whole.replace("\r\n", "\n") if "\r" in whole else whole).split("\n")
    return _series([line for line in split if line and not line.isspace()]), {}


def _decoded(lines: pl.Series) -> tuple[pl.Series, dict[int, str]]:
    try:
        return lines.cast(pl.String), {}
    except pl.exceptions.PolarsError:  # some line is not UTF-8
        return _each_decoded(lines.to_list())


def _each_decoded(lines: Iterable[bytes | str | None]) -> tuple[pl.Series, dict[int, str]]:
    texts: list[str | None] = []
    reasons = {}
    for row, line in enumerate(lines):
        try:
            texts.append(line.decode() if isinstance(line, bytes) else line)
        except UnicodeDecodeError as error:
            reasons[row] = f"line {row + 1} of the page is not valid UTF-8 at byte {error.start}"
            texts.append(orjson.dumps({"line_base64": b64encode(error.object).decode()}).decode())
    return _series(texts), reasons


def _series(lines: Sequence[str | None]) -> pl.Series:
    try:
        return pl.Series(lines, dtype=pl.String)
    except UnicodeEncodeError:  # a lone surrogate as a character, which JSON allows only as an escape
        return pl.Series([None if line is None else _escaped(line) for line in lines], dtype=pl.String)


def _escaped(line: str) -> str:
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", line)
