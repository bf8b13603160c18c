"""Texts of a column, put together from parts in one step."""

from collections.abc import Sequence

import polars as pl

Parts = Sequence[str | pl.Expr]
"""Pieces of text that follow each other. Each piece that is not made on its own saves a copy of the column."""


def in_a_row(parts: Parts) -> pl.Expr:
    """The parts as one text; null where one of them is. Texts that meet are joined first."""
    found: list[str | pl.Expr] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return pl.concat_str([pl.lit(part) if isinstance(part, str) else part for part in found])
