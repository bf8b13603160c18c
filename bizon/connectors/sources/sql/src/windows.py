"""The part of a stream that a run reads, by its cursor: from the end of the last run to where nothing changes any more.

Times: ``since <= cursor < until``, and ``until`` is a moment before which no transaction can change a row any more, as
far as the database tells. Numbers and texts: ``since < cursor <= until``, and ``until`` is the greatest value.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import sqlalchemy as sa

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.sql.src.exact import decoded, encoded
from bizon.connectors.sources.sql.src.flavour import Clock, Column

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.flavour import Flavour
    from bizon.connectors.sources.sql.src.relation import Relation
    from bizon.source.models import SourceIncrementalState


class Window(NamedTuple):
    """``since`` and ``until`` are values of the cursor; None = no bound, or no values at all."""

    since: Any
    until: Any
    is_time: bool

    def as_json(self) -> dict[str, Any]:
        return {"since": encoded(self.since), "until": encoded(self.until), "is_time": self.is_time}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(decoded(value["since"]), decoded(value["until"]), value["is_time"])

    def condition(self, flavour: "Flavour", cursor: Column) -> "sa.ColumnElement[bool]":
        """Whether a row belongs to the window."""
        if self.until is None:
            return sa.false()
        column, until = flavour.ordered(cursor), flavour.bound(cursor, self.until)
        upper = column < until if self.is_time else column <= until
        if self.since is None:
            return upper
        since = flavour.bound(cursor, self.since)
        return sa.and_(column >= since if self.is_time else column > since, upper)


class Windows:
    """Opens the window of a job. ``unit``: seconds, the unit of the timestamps."""

    def __init__(self, flavour: "Flavour", relation: "Relation", cursor: Column, overlap: float, unit: float) -> None:
        self._flavour = flavour
        self._relation = relation
        self._column = cursor
        self._overlap = overlap
        self._unit = max(unit, 1.0)

    def opened(self, connection: "sa.Connection", state: "SourceIncrementalState | None") -> Window:
        """The window of a job that starts now. Without a state it has no beginning. Raises SourceFetchError when the
        end cannot be known."""
        began = self._flavour.settled(connection)
        sample = self._greatest(connection)
        clock = self._flavour.clock_of(self._column, sample)
        token = {} if state is None else state.state
        if token.get("cursor_field", self._column.name) != self._column.name:
            raise SourceFetchError(
                f"the last run went by column '{token['cursor_field']}', this one goes by '{self._column.name}': load "
                "everything once with --full-refresh"
            )
        if clock is Clock.NONE:
            return self._of_values(connection, sample, state)
        column = self._column._replace(clock=clock)
        until = self._at(connection, column, began, sample)
        if state is None or token:
            return Window(self._earlier(column, decoded(token.get("until")), sample), until, True)
        end = state.run_started_at
        if end is not None and end < began:
            until = self._at(connection, column, end, sample)
        return Window(self._at(connection, column, state.last_run, sample), until, True)

    def state_after(self, window: Window) -> dict[str, Any]:
        """The place where the next run continues."""
        return {"cursor_field": str.__str__(self._column.name), "until": encoded(window.until)}

    def _greatest(self, connection: "sa.Connection") -> Any:
        greatest = sa.func.max(self._flavour.ordered(self._column))
        labelled = self._column._replace(name="greatest")
        inner = self._relation.select(greatest.label("greatest")).subquery("bizon_greatest")
        return connection.execute(sa.select(self._flavour.keyed(labelled)).select_from(inner)).scalar()

    def _of_values(self, connection: "sa.Connection", greatest: Any, state: "SourceIncrementalState | None") -> Window:
        token = {} if state is None else state.state
        if state is not None and "until" not in token:
            raise SourceFetchError(
                f"column '{self._column.name}' does not tell the time, so it cannot find a window of the past (--since)"
            )
        since = decoded(token.get("until"))
        if not self._flavour.wait_until_settled(connection):
            if state is None:
                raise SourceFetchError(
                    "a transaction stays open, and its rows could be lost: end it, or try again later"
                )
            logger.warning("A transaction stays open: nothing is read in this run, since its rows could be lost")
            return Window(since, since, False)
        return Window(self._less(since), since if greatest is None else greatest, False)

    def _less(self, since: Any) -> Any:
        if not self._overlap or since is None:
            return since
        if isinstance(since, str):
            try:
                return str(Decimal(since) - Decimal(str(self._overlap)))
            except ArithmeticError:
                raise SourceFetchError("source.lookback needs a cursor_field that is a time or a number") from None
        return since - type(since)(self._overlap)

    def _at(self, connection: "sa.Connection", column: Column, moment: datetime, sample: Any) -> Any:
        """A moment as a value of the column, in whole units."""
        whole = datetime.fromtimestamp(moment.timestamp() // self._unit * self._unit, UTC)
        if column.clock in (Clock.LOCAL, Clock.DATE):
            return self._flavour.rendered(column, self._flavour.local(connection, whole), sample)
        return self._flavour.rendered(column, whole, sample)

    def _earlier(self, column: Column, since: Any, sample: Any) -> Any:
        """The end of the last window, less the lookback."""
        if since is None or not self._overlap:
            return since
        moment = datetime.fromisoformat(since) if isinstance(since, str) else since
        if isinstance(moment, date) and not isinstance(moment, datetime):
            return moment - timedelta(seconds=self._overlap)
        return self._flavour.rendered(column, moment - timedelta(seconds=self._overlap), sample)
