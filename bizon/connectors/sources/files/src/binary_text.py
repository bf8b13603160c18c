"""Binary values as base64 text, at every depth of a frame."""

import polars as pl

from bizon.rows.json_text import Rule, at_leaves


def with_binary_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every binary value as base64."""
    rules = {name: at_leaves(dtype, _as_text) for name, dtype in frame.schema.items()}
    return frame.with_columns(rule(pl.col(name)).alias(name) for name, rule in rules.items() if rule is not None)


def _as_text(dtype: pl.DataType) -> Rule | None:
    return (lambda value: value.bin.encode("base64")) if isinstance(dtype, pl.Binary) else None
