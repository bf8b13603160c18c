"""Rows of a database as lines of JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from bizon.connectors.sources.sql.src.values import plain
from bizon.source.models import JsonLines

if TYPE_CHECKING:
    import sqlalchemy as sa

    from bizon.connectors.sources.sql.src.flavour import Column, Flavour
    from bizon.connectors.sources.sql.src.relation import Relation

Row = Sequence[Any]


class Layout(NamedTuple):
    """The values of a row: of ``columns``, and after them the values of keys that are not among these. ``keys``: where
    in the row each value is that orders it, one for each column of ``order``. ``own``: which of them are the columns of
    the key. ``moment``: where in the row the cursor is, if it is there."""

    columns: "Sequence[Column]"
    order: "Sequence[Column]"
    keys: Sequence[int]
    own: Sequence[int]
    moment: int | None

    @property
    def names(self) -> list[str]:
        """The fields of a record."""
        return [str.__str__(column.name) for column in self.columns]


def laid_out(
    flavour: "Flavour", relation: "Relation", order: "Sequence[Column]"
) -> "tuple[list[sa.ColumnElement[Any]], Layout]":
    """The expressions to select for rows that come in this order, and where their values are. A key that is selected
    as a column already is not selected again."""
    selected = [flavour.selected(column) for column in relation.columns]
    shown = {column.name: at for at, column in enumerate(relation.columns)}
    keys: list[int] = []
    for column in order:
        key, at = flavour.keyed(column), shown.get(column.name)
        if at is None or not selected[at].compare(key):
            at = len(selected)
            selected.append(key)
        keys.append(at)
    names = [column.name for column in order]
    cursor, moment = relation.cursor, None
    if cursor is not None:
        moment = keys[names.index(cursor.name)] if cursor.name in names else shown.get(cursor.name)
    return selected, Layout(relation.columns, order, keys, [names.index(each.name) for each in relation.key], moment)


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
        found = self._rows[row]
        return [found[at] for at in self._layout.keys]

    def lines(self, count: int) -> JsonLines:
        rows, layout = self._rows[:count], self._layout
        own = [layout.keys[at] for at in layout.own]
        ids = [identity([row[at] for at in own]) for row in rows]
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
