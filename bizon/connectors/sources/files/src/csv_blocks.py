"""Regular blocks of CSV, read by Polars. A block counts as regular when every line is shown to be a record."""

import re
from collections.abc import Sequence

import polars as pl


def whole_records(data: bytes, quote: bytes | None) -> int:
    """The length of the records in a block that end with a line break outside of quotes."""
    if quote is None:
        return data.rfind(b"\n") + 1
    before, end = data.count(quote), len(data)
    while True:
        found = data.rfind(b"\n", 0, end)
        before -= data.count(quote, max(found, 0), end)
        if found < 0 or before % 2 == 0:
            return found + 1
        end = found


def regular_block(data: bytes, columns: Sequence[str], delimiter: str, quote: str | None) -> pl.DataFrame | None:
    """The records of a block of UTF-8, every value as text; None for a block in which some line is not a record, or
    empty."""
    if not columns:
        return None
    bare = data
    if quote is not None and quote.encode() in data:
        parts = data.split(quote.encode())
        if len(parts) % 2 == 0:
            return None
        bare = (quote * 2).encode().join(parts[::2])  # without what is in quotes
    if bare.count(b"\r") != bare.count(b"\r\n"):  # Polars drops some of them
        return None
    try:
        lines = pl.Series(bare.decode().removesuffix("\n").split("\n"), dtype=pl.String)
    except UnicodeDecodeError:
        return None
    if not _are_records(lines, len(columns), delimiter, quote if bare is not data else None):
        return None
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            schema=dict.fromkeys(columns, pl.String()),
            separator=delimiter,
            quote_char=quote,
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == lines.len() else None


def _are_records(lines: pl.Series, width: int, delimiter: str, quote: str | None) -> bool:
    """Whether each line, without what is in quotes, has as many fields as there are columns, each in quotes as a whole
    or not at all."""
    if not (lines.str.count_matches(delimiter, literal=True) == width - 1).all():
        return False
    if width == 1 and lines.is_in(["", "\r"]).any():
        return False
    if quote is None:
        return True
    q, d = re.escape(quote), re.escape(delimiter)
    field = f"(?:(?:{q}{q})+|[^{q}{d}]*)"
    return bool(lines.str.contains(f"^{field}(?:{d}{field})*\r?$").all())
