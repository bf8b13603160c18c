"""The names that an engine has for the types of columns, in both directions. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bizon.destination.column_types import ColumnType, Kind

_DIGITS = r"(\d+)\s*,\s*(\d+)"


@dataclass(frozen=True, slots=True)
class TypeNames:
    """For each kind the name of a type that holds every value of it, unchanged, as the catalogue spells it; case does
    not count. The defaults suit PostgreSQL. ``decimal`` has places for precision and scale. ``others``: types that the
    columns of somebody else may have, each with a type all of whose values they hold. A type without a name here takes
    no values.
    """

    boolean: str = "boolean"
    int64: str = "bigint"
    float64: str = "double precision"
    timestamp: str = "timestamp with time zone"
    date: str = "date"
    time: str = "time without time zone"
    text: str = "text"
    json: str = "json"
    bytes: str = "bytea"
    decimal: str = "numeric({},{})"
    others: Mapping[str, ColumnType] = field(default_factory=dict)

    def sql(self, column: ColumnType) -> str:
        """The type of a new column."""
        if column.kind is Kind.DECIMAL:
            return self.decimal.format(column.precision, column.scale)
        return str(getattr(self, column.kind.value))

    def column(self, name: str) -> ColumnType | None:
        """The type of a column in the catalogue; None for one that would change or refuse a value."""
        before, _, after = self.decimal.partition("{},{}")
        found = re.fullmatch(re.escape(before) + _DIGITS + re.escape(after), name, re.IGNORECASE)
        if found is not None:
            precision, scale = int(found[1]), int(found[2])
            return ColumnType(Kind.DECIMAL, precision, scale) if scale <= precision else None
        kinds = {getattr(self, kind.value).casefold(): kind for kind in Kind if kind is not Kind.DECIMAL}
        kind = kinds.get(name.casefold())
        return self.others.get(name) if kind is None else ColumnType(kind)
