"""Records of a file as lines of JSON with their ids."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson
import polars as pl

from bizon.source.models import JsonLines

_LONGEST_SHOWN = 100_000  # bytes of a broken line


class Rows(NamedTuple):
    """Some records of one file. ``faults``: why a row is not a record, by its number in ``texts`` from 0; its text is
    an object with the input."""

    texts: pl.Series
    ids: pl.Series
    faults: Mapping[int, str]


NO_ROWS = Rows(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String), {})


class RowReader(Protocol):
    """Reads the records of one version of a file in order."""

    def read(self, size: int) -> Rows:
        """The next records, of about ``size`` bytes; none at the end of the file."""

    def is_at_end(self) -> bool:
        """Whether no record follows."""

    def position(self) -> dict[str, int]:
        """Where the next record is; the reader that is given this continues there."""


def row_ids(path: str, first: int, count: int) -> pl.Series:
    """The ids of rows by the number of each: ``PATH#ROW``."""
    return numbered_ids(path, pl.int_range(first, first + count, eager=True))


def numbered_ids(path: str, numbers: pl.Series) -> pl.Series:
    """The same for any numbers."""
    return pl.select(pl.concat_str(pl.lit(f"{path}#"), numbers.cast(pl.String))).to_series()


def broken(path: str, line: int, given: bytes, encoding: str) -> str:
    """The object for a line that is not a record."""
    shown = given[:_LONGEST_SHOWN]
    try:
        found = {"line": shown.decode(encoding)}
    except UnicodeDecodeError:
        found = {"line_base64": b64encode(shown).decode()}
    cut = {"line_bytes": len(given)} if len(shown) < len(given) else {}
    return orjson.dumps({"file": path, "line_number": line, **found, **cut}).decode()


def joined(parts: Sequence[Rows]) -> Rows:
    """The records of several parts in order."""
    if len(parts) == 1:
        return parts[0]
    faults, height = {}, 0
    for part in parts:
        faults.update({row + height: reason for row, reason in part.faults.items()})
        height += part.texts.len()
    texts = pl.concat([NO_ROWS.texts, *(part.texts for part in parts)])
    return Rows(texts, pl.concat([NO_ROWS.ids, *(part.ids for part in parts)]), faults)


def page_of(parts: Sequence[Rows]) -> JsonLines:
    """The records of several pieces as one page."""
    texts, ids, faults = joined(parts)
    return JsonLines(texts, ids=ids, faults=faults)
