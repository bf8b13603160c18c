"""Rows of a database as lines of JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from bizon.connectors.sources.sql.src.values import plain
from bizon.source.models import JsonLines

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.flavour import Column

Row = Sequence[Any]


class RowWriter:
    """Writes rows that begin with the values of ``columns``."""

    def __init__(self, columns: "Sequence[Column]") -> None:
        self._names = [str.__str__(column.name) for column in columns]
        self._conversions = [
            (position, column.convert) for position, column in enumerate(columns) if column.convert is not None
        ]

    def lines(self, rows: Sequence[Row], ids: list[str], moments: Sequence[Any] | None) -> JsonLines:
        """A page. ``moments``: the cursor of each row, from which its timestamp is read."""
        timestamps = None if moments is None else [_moment(value) for value in moments]
        return JsonLines([self._line(row) for row in rows], ids=ids, timestamps=timestamps)

    def _line(self, row: Row) -> bytes:
        found = list(row)
        for position, convert in self._conversions:
            value = found[position]
            if value is not None:
                found[position] = convert(value)
        return orjson.dumps(dict(zip(self._names, found, strict=False)))


def identity(key: Sequence[Any]) -> str:
    """The id of a record: the value of its key, or the list of values as JSON."""
    if len(key) == 1:
        value = key[0]
        if value.__class__ is int or value.__class__ is str:
            return str(value)
        value = plain(value)
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    return orjson.dumps([plain(each) for each in key]).decode()


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or value[4:5] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:  # infinity, before our era, or no time at all
        return None
