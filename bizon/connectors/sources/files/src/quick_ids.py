"""The ids of lines of JSON, read by Polars, which also finds out whether every line is valid."""

import re
from collections.abc import Sequence

import polars as pl

from bizon.connectors.sources.files.src.exact_values import joined_id
from bizon.connectors.sources.files.src.json_rows import numbered_ids

_NO_FIELD = "\0"
_NOT_AS_SENT = r"^(?:[\[{]|-?\d+[.eE]|-?\d+$)"  # Polars may write a number or a nested value in another way


def quick_ids(lines: pl.Series, numbers: pl.Series, text: bytes, path: str, fields: Sequence[str]) -> pl.Series | None:
    """The ids of lines: of their fields, or ``PATH#NUMBER`` without fields. ``text``: the lines as UTF-8.

    None when a line is not valid, or when an id is missing or might differ from what was sent.
    """
    if not lines.len():
        return pl.Series([], dtype=pl.String)
    schema = dict.fromkeys(fields or (_NO_FIELD,), pl.String())
    try:
        frame = pl.read_ndjson(text, schema=schema)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame.height != lines.len():
        return None
    if not fields:
        return numbered_ids(path, numbers)
    found = [frame[field] for field in fields]
    if any(each.null_count() or _is_doubtful(each, field, lines) for each, field in zip(found, fields, strict=True)):
        return None
    if len(found) == 1:
        return found[0]
    return pl.Series([joined_id(each) for each in zip(*found, strict=True)], dtype=pl.String)


def _is_doubtful(ids: pl.Series, field: str, lines: pl.Series) -> bool:
    """Whether an id might differ from the text that was sent."""
    if (ids == "").any():
        return True
    if not ids.str.contains(_NOT_AS_SENT).any():
        return False
    sent = rf'"{re.escape(field)}"\s*:\s*(?:"|(?:0|-?[1-9]\d{{0,17}})\s*[,}}])'
    return not lines.str.contains(sent).all()
