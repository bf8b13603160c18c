"""The ways in which an engine stores less than the kit knows. Pure."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.destination.column_types import INT64_DIGITS, Kind
from bizon.destination.evidence import Evidence, Shape, widened

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.column_types import ColumnType

JsonMisfits = Callable[[Sequence[Any], "pl.Series"], list[int]]
"""For the leaves of a column and their JSON texts: the positions of those that the engine would change or refuse."""


class EngineLimits(NamedTuple):
    """``decimals``: the sizes of decimals that the engine has, narrowest first; empty: any size of at most 38 digits.
    ``json_misfits``: for an engine that reads the JSON it stores; None: one that keeps the text."""

    decimals: "tuple[ColumnType, ...]" = ()
    json_misfits: JsonMisfits | None = None

    def new(self, evidence: Evidence) -> "ColumnType | None":
        """The type of a new column; None for a column that has only nulls."""
        wanted = evidence.column_type()
        if wanted is None or wanted.kind is not Kind.DECIMAL:
            return wanted
        return self._narrowest(evidence.whole, evidence.scale) or wanted

    def wider(self, existing: "ColumnType", evidence: Evidence) -> "ColumnType | None":
        """The type that an existing column needs, to take these values and keep every value that it may hold already.
        None when there is no such type, or it is the type that the column has."""
        if not self.decimals:
            return widened(existing, evidence)
        if existing.kind not in (Kind.INT64, Kind.DECIMAL) or Shape.NUMBER not in evidence.shapes:
            return None
        is_integer = existing.kind is Kind.INT64
        if is_integer and not evidence.scale and not evidence.beyond_int64:
            return None
        whole = INT64_DIGITS if is_integer else existing.precision - existing.scale
        wide = self._narrowest(max(whole, evidence.whole), max(existing.scale, evidence.scale))
        return None if wide == existing else wide

    def _narrowest(self, whole: int, scale: int) -> "ColumnType | None":
        """The first size with this many digits before and after the point."""
        holding = (size for size in self.decimals if size.precision - size.scale >= whole and size.scale >= scale)
        return next(holding, None)


NO_LIMITS = EngineLimits()
"""An engine that stores whatever the kit knows."""
