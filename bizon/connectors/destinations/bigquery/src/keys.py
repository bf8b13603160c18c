"""From the keys of a record to columns: BigQuery ignores the case of column names."""

from collections.abc import Iterable
from typing import Any

from bizon.connectors.destinations.bigquery.src.misfits import misfit

_MOST = 10_000  # keys remembered as unknown; records may have any number of them


class Keys:
    """The columns of a table, or of a RECORD column; then ``path`` is the column's path, with a dot at its end."""

    def __init__(self, columns: Iterable[str], path: str = "") -> None:
        self._columns = frozenset(columns)
        self._called = {column.lower(): column for column in self._columns}
        self._path = path
        self._strangers: set[str] = set()

    def by_column(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record, with a key renamed to its column if the two differ only in case. A key that equals the column
        wins. Raises MisfitError for two keys that match one column."""
        if record.keys() <= self._columns or self.unknown(record) <= self._strangers:
            return record
        named = dict(record)
        for key in self.unknown(record):
            column = self._called.get(key.lower())
            if column is None:
                if len(self._strangers) < _MOST:
                    self._strangers.add(key)
            elif column not in record:
                if column in named:
                    raise misfit(f"{self._path}{column}", "is in the record twice, in different case")
                named[column] = named.pop(key)
        return named

    def unknown(self, record: dict[str, Any]) -> set[str]:
        """Keys that are not columns."""
        return record.keys() - self._columns
