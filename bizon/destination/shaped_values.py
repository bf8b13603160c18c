"""The values of records of a shape, as msgspec has read them, on their way to columns. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
from msgspec import UNSET

from bizon.destination.column_types import Kind

if TYPE_CHECKING:
    from bizon.destination.leaves import Path

_AS_READ: dict[Kind, pl.DataType] = {
    Kind.BOOLEAN: pl.Boolean(),
    Kind.INT64: pl.Int64(),
    **dict.fromkeys((Kind.TEXT, Kind.TIMESTAMP, Kind.DATE), pl.String()),
}
"""The kinds whose values need no second look, and the type of their column."""
_NULL = b"null"


class Field(NamedTuple):
    """A key of records whose values become a column."""

    path: "Path"
    kind: Kind

    def listed(self, values: Sequence[Any]) -> list[Any]:
        """The values, None for null and for what is missing."""
        return json_texts(values) if self.kind is Kind.JSON else _without_unset(values)

    def series(self, values: Sequence[Any]) -> pl.Series | None:
        """The column, if all its values fit as they are."""
        if self.kind is Kind.JSON:
            return pl.Series(json_texts(values), dtype=pl.Binary).cast(pl.String)
        if self.kind is Kind.FLOAT64 and {*map(type, values)} == {float}:  # an integer may be too large for a float
            return pl.Series(values, dtype=pl.Float64)
        if self.kind not in _AS_READ:
            return None
        try:
            return pl.Series(values, dtype=_AS_READ[self.kind])
        except (TypeError, ValueError):  # from UNSET
            return pl.Series(_without_unset(values), dtype=_AS_READ[self.kind])


def _without_unset(values: Sequence[Any]) -> list[Any]:
    return [None if value is UNSET else value for value in values]


def json_texts(values: Sequence[Any]) -> list[bytes | None]:
    """The text of each value; None for null and for what is missing."""
    try:
        texts: list[bytes | None] = list(map(b"".__add__, values))  # faster than ``bytes``
    except TypeError:  # from None or UNSET
        texts = [None if value is None or value is UNSET else bytes(value) for value in values]
    return [None if text == _NULL else text for text in texts] if _NULL in texts else texts
