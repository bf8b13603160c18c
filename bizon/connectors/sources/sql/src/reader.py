"""Pages of a stream with a key. Each page begins after the key of the last record, in a transaction of its own.

| part of a run      | records                                   | order       |
|--------------------|-------------------------------------------|-------------|
| everything         | all; with a window those before its end   | key         |
| without a cursor   | those whose cursor is null                | key         |
| changed            | those in the window                       | cursor, key |
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.sql.src import checks
from bizon.connectors.sources.sql.src.database_rows import laid_out
from bizon.connectors.sources.sql.src.exact import decoded, encoded
from bizon.connectors.sources.sql.src.failures import in_a_transaction
from bizon.connectors.sources.sql.src.keyset import after, up_to
from bizon.source.ahead import Ahead
from bizon.source.models import SourceIteration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bizon.connectors.sources.sql.src.database_rows import Layout, Page, Row
    from bizon.connectors.sources.sql.src.databases import Database
    from bizon.connectors.sources.sql.src.flavour import Column
    from bizon.connectors.sources.sql.src.relation import Relation
    from bizon.connectors.sources.sql.src.scope import RunScope, Scoped
    from bizon.source.models import SourceIncrementalState

Json = dict[str, Any]
_EVERYTHING, _WITHOUT_CURSOR, _CHANGED = "everything", "without_cursor", "changed"


class KeyedReader:
    """Reads pages of ``size`` records. A pagination is ``{"part", "key", "after", "window"}``: the names of the columns
    of the key, and their values, exactly. A partition has ``until`` too, the last key of its range; it looks like the
    pagination of its first page."""

    def __init__(self, database: "Database", relation: "Relation", scope: "RunScope", size: int) -> None:
        self._database = database
        self._flavour = database.flavour
        self._relation = relation
        self._scope = scope
        self._size = size
        self._ahead: Ahead[bytes, Page] = Ahead(2 if self._flavour.reads_ahead else 1)
        self._key_names = [str.__str__(column.name) for column in relation.key]

    def partitions(self, most: int) -> list[Json]:
        """Ranges of the key with about as many records each, and a page at least; none for a stream that has no more.
        All of them share the window of the run. Raises SourceFetchError."""

        def plan(connection: "sa.Connection") -> list[Json]:
            first = self._first(connection, None)
            bounds = [None, *self._bounds(connection, first, most), None]
            return [{**first, "after": after, "until": until} for after, until in pairwise(bounds)]

        found = in_a_transaction(self._flavour, self._database.reading, plan)
        return found if len(found) > 1 else []

    def page(self, pagination: Json, state: "SourceIncrementalState | None") -> SourceIteration:
        """The page at a pagination. Raises SourceFetchError."""
        if not pagination:
            pagination = in_a_transaction(
                self._flavour, self._database.reading, lambda connection: self._first(connection, state)
            )
        if pagination["key"] != self._key_names:
            raise SourceFetchError(
                f"the checkpoint continues after a value of ({', '.join(pagination['key'])}), and the key is now "
                f"({', '.join(self._key_names)}): start with --fresh"
            )
        page = self._ahead.get(_token(pagination), self._rows, _unknown)
        following: Json = {}
        if len(page) > self._size:
            following = {**pagination, "after": [encoded(value) for value in page.key(self._size - 1)]}
        elif pagination["part"] == _WITHOUT_CURSOR:
            following = {**pagination, "part": _CHANGED, "after": None}
        if following and pagination["after"] is not None:  # the first page may be all that is wanted
            self._ahead.ask(_token(following), self._rows)
        next_state = self._scope.restored(pagination["window"]).next_state
        return SourceIteration(following, page.lines(self._size), next_state)

    def close(self) -> None:
        """Forget the page that is read ahead, once its statement has ended."""
        self._ahead.close(wait=True)

    def _rows(self, token: bytes) -> "Page":
        """The rows at a pagination. Called on a thread of its own where the flavour allows it: the database makes the
        next rows while these become JSON."""
        pagination = orjson.loads(token)
        order = self._order(pagination["part"])
        selected, layout = laid_out(self._flavour, self._relation, order)
        statement = self._statement(selected, pagination, order)
        return in_a_transaction(
            self._flavour, self._database.reading, lambda connection: self._read(connection, statement, layout)
        )

    def _first(self, connection: "sa.Connection", state: "SourceIncrementalState | None") -> Json:
        """The place of the first page. It is in the checkpoint of each page, so a window keeps its end."""
        checks.no_null_in_key(connection, self._flavour, self._relation)
        scoped = self._scope.opened(connection, state)
        part = _EVERYTHING if state is None else _WITHOUT_CURSOR if self._scope.includes_nulls else _CHANGED
        return {"part": part, "key": self._key_names, "after": None, "window": scoped.as_json}

    def _bounds(self, connection: "sa.Connection", first: Json, most: int) -> list[list[Any]]:
        """The last keys of all ranges but the last one. Each is found after the one before, in an index of the key."""
        keys = enumerate(self._relation.key)
        columns = [self._flavour.keyed(column).label(f"bizon_{at}") for at, column in keys]
        scoped, order = self._scope.restored(first["window"]), self._order(first["part"])
        everything = self._restricted(sa.func.count(), at=first, scoped=scoped, order=order)
        records = connection.execute(everything).scalar() or 0
        step = max(-(-records // most), self._size)
        bounds: list[list[Any]] = []
        while (len(bounds) + 1) * step < records:
            at = {**first, "after": bounds[-1] if bounds else None}
            statement = self._restricted(*columns, at=at, scoped=scoped, order=order)
            ordered = statement.order_by(*(self._flavour.ordered(column) for column in order))
            row = connection.execute(ordered.limit(1).offset(step - 1)).first()
            if row is None:  # records are gone since they were counted
                break
            bounds.append([encoded(value) for value in row])
        return bounds

    def _order(self, part: str) -> "list[Column]":
        key, cursor = self._relation.key, self._relation.cursor
        if part != _CHANGED or cursor is None:
            return key
        return [cursor, *(column for column in key if column.name != cursor.name)]

    def _statement(
        self, selected: "list[sa.ColumnElement[Any]]", pagination: Json, order: "list[Column]"
    ) -> "sa.Select[Any]":
        labelled = (each.label(f"bizon_{at}") for at, each in enumerate(selected))
        scoped = self._scope.restored(pagination["window"])
        statement = self._restricted(*labelled, at=pagination, scoped=scoped, order=order)
        return statement.order_by(*(self._flavour.ordered(column) for column in order)).limit(self._size + 1)

    def _restricted(self, *selected: Any, at: Json, scoped: "Scoped", order: "list[Column]") -> "sa.Select[Any]":
        """A statement on the records after the place of a pagination, and in its partition."""
        flavour, part, statement = self._flavour, at["part"], self._relation.select(*selected)
        condition = {
            _EVERYTHING: scoped.everything,
            _WITHOUT_CURSOR: scoped.without_cursor,
            _CHANGED: scoped.changed,
        }[part]
        if condition is not None:
            statement = statement.where(condition)
        columns = [flavour.ordered(column) for column in order]
        for key, compared in ((at["after"], after), (at.get("until"), up_to)):
            if key is not None:
                values = map(decoded, key)
                bounds = [flavour.bound(column, value) for column, value in zip(order, values, strict=True)]
                statement = statement.where(compared(columns, bounds, rows=flavour.compares_rows))
        return statement

    def _read(self, connection: "sa.Connection", statement: "sa.Select[Any]", layout: "Layout") -> "Page":
        """The rows of a page and the one after them, if there is one. Raises SourceFetchError when the next page would
        leave that one out, because the database takes its key for the same."""
        page = self._flavour.read(connection, statement, layout)
        if len(page) > self._size and not self._relation.is_unique:
            last, following = page.key(self._size - 1), page.key(self._size)
            if checks.may_be_equal(last, following) and self._are_equal(connection, layout.order, last, following):
                raise checks.not_unique(self._relation.key)
        return page

    def _are_equal(self, connection: "sa.Connection", order: "Sequence[Column]", last: "Row", following: "Row") -> bool:
        """Whether no record with the second key is after the first one."""
        flavour = self._flavour
        columns = [flavour.ordered(column) for column in order]
        one, other = (
            [flavour.bound(each, value) for each, value in zip(order, key, strict=True)] for key in (last, following)
        )
        is_other = sa.and_(*(column == value for column, value in zip(columns, other, strict=True)))
        statement = self._relation.select(sa.literal_column("1")).where(
            is_other, after(columns, one, rows=flavour.compares_rows)
        )
        return connection.execute(statement.limit(1)).first() is None


def _token(pagination: Json) -> bytes:
    """Names the page at a pagination."""
    return orjson.dumps(pagination)


def _unknown(_token: bytes) -> None:
    """Only a page tells where the next one begins."""
