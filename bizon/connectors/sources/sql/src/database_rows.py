"""Rows of a database as lines of JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from bizon.connectors.sources.sql.src.values import plain
from bizon.source.models import JsonLines

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.flavour import Column
    from bizon.connectors.sources.sql.src.relation import Relation

Row = Sequence[Any]


class Layout(NamedTuple):
    """The values of a row: of ``columns``, and after them of those in ``order``. ``own``: where in ``order`` the
    columns of the key are. ``moment``: where in the row the cursor is, if it is there."""

    columns: "Sequence[Column]"
    order: "Sequence[Column]"
    own: Sequence[int]
    moment: int | None

    @property
    def names(self) -> list[str]:
        """The fields of a record."""
        return [str.__str__(column.name) for column in self.columns]


def layout_of(relation: "Relation", order: "Sequence[Column]") -> Layout:
    """The layout of rows that come in this order."""
    names, shown = ([column.name for column in columns] for columns in (order, relation.columns))
    cursor, moment = relation.cursor, None
    if cursor is not None and cursor.name in names:
        moment = len(shown) + names.index(cursor.name)
    elif cursor is not None and cursor.name in shown:
        moment = shown.index(cursor.name)
    return Layout(relation.columns, order, [names.index(column.name) for column in relation.key], moment)


class Page(Protocol):
    """Rows as a database returned them."""

    def __len__(self) -> int: ...

    def key(self, row: int) -> list[Any]:
        """The values that order a row."""

    def lines(self, count: int) -> JsonLines:
        """The first rows as records."""


class RowPage:
    """Rows of values."""

    def __init__(self, rows: Sequence[Row], layout: Layout) -> None:
        self._rows = rows
        self._layout = layout

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, row: int) -> list[Any]:
        return list(self._rows[row][-len(self._layout.order) :])

    def lines(self, count: int) -> JsonLines:
        rows, layout = self._rows[:count], self._layout
        keys = [self.key(row) for row in range(len(rows))]
        ids = [identity([key[position] for position in layout.own]) for key in keys]
        moments = None if layout.moment is None else [row[layout.moment] for row in rows]
        return RowWriter(layout.columns).lines(rows, ids, moments)


class RowWriter:
    """Writes rows that begin with the values of ``columns``."""

    def __init__(self, columns: "Sequence[Column]") -> None:
        self._names = [str.__str__(column.name) for column in columns]
        self._conversions = [
            (position, column.convert) for position, column in enumerate(columns) if column.convert is not None
        ]

    def lines(self, rows: Sequence[Row], ids: list[str], moments: Sequence[Any] | None) -> JsonLines:
        """A page. ``moments``: the cursor of each row, from which its timestamp is read."""
        timestamps = None if moments is None else [moment_of(value) for value in moments]
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


def moment_of(value: Any) -> datetime | None:
    """The timestamp of a record, from its cursor; None when that does not tell the time."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or value[4:5] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:  # infinity, before our era, or no time at all
        return None
