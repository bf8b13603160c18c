"""From the keys of a record to columns: BigQuery's names are the same in any case."""

from collections.abc import Iterable
from typing import Any

from bizon.connectors.destinations.bigquery.src.misfits import misfit

_MOST = 10_000  # keys that are remembered as not being columns; records may make them up


class Keys:
    """The columns of a table, or of a RECORD column, whose ``path`` is then with a point at its end."""

    def __init__(self, columns: Iterable[str], path: str = "") -> None:
        self._columns = frozenset(columns)
        self._called = {column.lower(): column for column in self._columns}
        self._path = path
        self._strangers: set[str] = set()

    def by_column(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record whose keys are columns wherever they differ from one in case only. A key that is a column as it
        is counts before others. Raises MisfitError for two keys that are one column."""
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
