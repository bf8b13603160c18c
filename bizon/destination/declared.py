"""The columns that ``record_schemas`` declares, in the types of the kit, and how a destination reads their values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bizon.rows.exact_json import ExactNumbers, SentNumbers

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType

Convert = Callable[[Any], Any]
"""From the value in a record to the value of its column. It raises MisfitError, and never returns another value than
the column's type has."""
_MOST = 10_000  # keys remembered as unknown; records may have any number of them


class MisfitError(ValueError):
    """A record, or one of its values, does not fit the columns. ``column``: its path; None: the record.
    ``fault``: what is wrong. ``has``: what the record has in that column."""

    def __init__(self, column: str | None, fault: str, has: str | None = None) -> None:
        super().__init__(fault)
        self.column = column
        self.fault = fault
        self.has = has

    def why(self, record: str) -> str:
        """The fault as the end of a sentence; ``record``: what the sentence calls the record."""
        return self.fault if self.has is None else f"{self.fault}, {record} has {self.has}"


@dataclass(frozen=True)
class Reading:
    """How a destination reads declared columns, where destinations differ.

    ``engine``: its name. ``column_first``: reasons begin with the column, not with the record. ``sent_numbers``: in
    text and in JSON a number is spelled as it was sent; otherwise it is the same number. ``any_case``: a key takes the
    column whose name differs only in case. ``whole_floats``: 1.0 and 1e3 are integers. ``json_floats``: a number in
    JSON is within the range of a 64-bit float. ``by_columns``: Polars reads moments and dates: RFC 3339, also without
    an offset; otherwise Python reads them: ISO 8601.
    """

    engine: str
    column_first: bool = False
    sent_numbers: bool = False
    any_case: bool = False
    whole_floats: bool = False
    json_floats: bool = False
    by_columns: bool = False

    @cached_property
    def json(self) -> SentNumbers | ExactNumbers:
        """Reads records, and writes values as text."""
        return SentNumbers() if self.sent_numbers else ExactNumbers()


class Keys:
    """The columns of a table, or of the objects in a column; then ``path`` is that column's path, with a dot at its
    end. ``any_case``: names that differ only in case are the same. ``strangers``: keys that are not columns."""

    def __init__(self, columns: Iterable[str], path: str = "", *, any_case: bool) -> None:
        self._columns = frozenset(columns)
        self._called = {column.lower(): column for column in self._columns} if any_case else {}
        self._path = path
        self.strangers: set[str] = set()

    def by_column(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record, with a key renamed to its column if the two differ only in case. A key that equals the column
        wins. Raises MisfitError for two keys that match one column."""
        if record.keys() <= self._columns or (unknown := record.keys() - self._columns) <= self.strangers:
            return record
        named = dict(record)
        for key in unknown:
            column = self._called.get(key.lower())
            if column is None:
                if len(self.strangers) < _MOST:
                    self.strangers.add(key)
            elif column not in record:
                if column in named:
                    raise MisfitError(f"{self._path}{column}", "is in the record twice, in different case")
                named[column] = named.pop(key)
        return named


@dataclass(frozen=True)
class DeclaredColumn:
    """A column. ``word``: what its configuration calls the type. ``is_required``: null and a missing key do not fit.
    ``is_repeated``: its values are arrays. ``fields``: the columns inside its values, which are objects; the type does
    not count then. ``read``: makes a value, for a type that only this engine has; raises for one that does not fit."""

    name: str
    type: "ColumnType"
    word: str
    is_required: bool = False
    is_repeated: bool = False
    fields: "tuple[DeclaredColumn, ...]" = ()
    read: Convert | None = None


def kind_of(value: Any) -> str:
    """A JSON value in words, without its content."""
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (str, "a string"), (int, "an integer"), (list, "an array"), (dict, "an object"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
