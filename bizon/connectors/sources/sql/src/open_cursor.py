"""Pages of a stream without a key, from one cursor that stays open. No later run can continue in the middle."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.sql.src.database_rows import Row, RowWriter
from bizon.connectors.sources.sql.src.failures import explained
from bizon.source.models import RESTARTS, SourceIteration

if TYPE_CHECKING:
    import sqlalchemy as sa

    from bizon.connectors.sources.sql.src.databases import Database
    from bizon.connectors.sources.sql.src.relation import Relation
    from bizon.connectors.sources.sql.src.scope import RunScope
    from bizon.source.models import SourceIncrementalState

Json = dict[str, Any]


class CursorReader:
    """Reads pages of ``size`` records, in the order in which the database returns them. The id of a record is its
    number in this reading."""

    def __init__(self, database: "Database", relation: "Relation", scope: "RunScope", size: int) -> None:
        self._database = database
        self._relation = relation
        self._scope = scope
        self._size = size
        self._writer = RowWriter(relation.columns)
        self._connection: sa.Connection | None = None
        self._result: sa.CursorResult[Any] | None = None
        self._ahead: list[Row] = []
        self._count = 0
        self._next_state: Json | None = None

    def page(self, pagination: Json, state: "SourceIncrementalState | None") -> SourceIteration:
        """The next page; the first one without a pagination. Raises SourceFetchError for any other."""
        try:
            if not pagination:
                self._open(state)
            elif self._result is None or pagination.get("row") != self._count:
                raise SourceFetchError(
                    "a stream without a key cannot continue in the middle; the next run starts it over"
                )
            return self._next()
        except DBAPIError as error:
            self.close()
            raise explained(self._database.flavour, error) from error.orig

    def close(self) -> None:
        """End the cursor."""
        connection, result = self._connection, self._result
        self._connection = self._result = None
        with suppress(DBAPIError):  # the server has ended it
            if connection is not None and result is not None and self._ahead:
                self._database.flavour.abandon(connection, result)
            elif result is not None:
                result.close()
        if connection is not None:
            connection.close()

    def _open(self, state: "SourceIncrementalState | None") -> None:
        logger.warning(
            "The stream has no primary key: it is read by one cursor. A run that is interrupted starts over; name the "
            "columns that identify a record in source.primary_key to resume instead"
        )
        self.close()
        flavour = self._database.flavour
        self._connection = self._database.reading.connect()
        self._connection.begin()
        flavour.begin(self._connection)
        scoped = self._scope.opened(self._connection, state)
        self._next_state = scoped.next_state
        statement = self._relation.select(*(flavour.selected(column) for column in self._relation.columns))
        if scoped.everything is not None:
            statement = statement.where(scoped.everything)
        options = {"stream_results": True, "max_row_buffer": self._size}
        self._result = self._connection.execute(statement, execution_options=options)
        self._ahead, self._count = list(self._result.fetchmany(1)), 0

    def _next(self) -> SourceIteration:
        if self._result is None:
            raise SourceFetchError("the cursor is closed")
        found = [*self._ahead, *self._result.fetchmany(self._size)]
        page, self._ahead = found[: self._size], found[self._size :]
        ids = [str(self._count + number) for number in range(len(page))]
        self._count += len(page)
        following: Json = {"row": self._count, RESTARTS: True} if self._ahead else {}
        if not following:
            self.close()
        return SourceIteration(following, self._writer.lines(page, ids, None), self._next_state)
