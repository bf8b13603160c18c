"""The place after a record, in SQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

Element = sa.ColumnElement[Any]


def after(columns: Sequence[Element], values: Sequence[Element], *, rows: bool) -> "sa.ColumnElement[bool]":
    """``(a, b) > (x, y)``. Without ``rows`` the comparison is expanded, and begins with a condition on the first
    column, by which any database finds the place in an index."""
    if len(columns) == 1:
        return columns[0] > values[0]
    if rows:
        return sa.tuple_(*columns) > sa.tuple_(*values)
    return sa.and_(columns[0] >= values[0], _expanded(columns, values))


def up_to(columns: Sequence[Element], values: Sequence[Element], *, rows: bool) -> "sa.ColumnElement[bool]":
    """``(a, b) <= (x, y)``: exactly what ``after`` leaves out."""
    if len(columns) == 1:
        return columns[0] <= values[0]
    if rows:
        return sa.tuple_(*columns) <= sa.tuple_(*values)
    return sa.and_(columns[0] <= values[0], sa.not_(_expanded(columns, values)))


def _expanded(columns: Sequence[Element], values: Sequence[Element]) -> "sa.ColumnElement[bool]":
    is_greater = columns[0] > values[0]
    if len(columns) == 1:
        return is_greater
    return sa.or_(is_greater, sa.and_(columns[0] == values[0], _expanded(columns[1:], values[1:])))
