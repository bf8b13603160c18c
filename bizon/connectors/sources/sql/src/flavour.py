"""The differences between databases, with defaults for any that SQLAlchemy knows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from bizon.common.clock import utc_now
from bizon.connectors.sources.sql.src.database_rows import RowPage
from bizon.connectors.sources.sql.src.values import Convert, plain

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.connectors.sources.sql.src.database_rows import Layout, Page


class Clock(Enum):
    """How a column tells the time."""

    NONE = "none"
    """It does not: a number, or a text."""
    AWARE = "aware"
    """A moment."""
    LOCAL = "local"
    """A date and a time of the zone of the database."""
    DATE = "date"
    """A day there."""


class Column(NamedTuple):
    """A column of a stream. ``kind``: its type, as the driver tells it; ``convert``: from a value that is not null to
    JSON, None when it is JSON already."""

    name: str
    kind: Any = None
    convert: Convert | None = plain
    clock: Clock = Clock.NONE

    @property
    def expression(self) -> "sa.ColumnElement[Any]":
        """The column in a statement."""
        return sa.column(self.name)


class Failure(NamedTuple):
    """An error of a driver. ``passes``: the same call may succeed later. ``hint``: the remedy."""

    passes: bool
    hint: str = ""


CREDENTIALS = (
    "check user, password and database in source.url; there, special characters are percent-encoded (@ is %40)"
)
"""The hint for a login that is refused."""
TOO_SLOW = (
    "the statement was cancelled; when it takes too long, lower source.page_size, put an index on the columns of key "
    "and cursor, or raise source.statement_timeout"
)
"""The hint for a statement that a time limit ended."""


class Flavour:
    """One kind of database. Subclasses override what they know better.

    Values come as the driver makes them, and go back as parameters of the same type.
    """

    reads_ahead = False
    """Whether the next page may be read on another thread while a page becomes JSON."""
    compares_rows = False
    """Whether ``(a, b) > (x, y)`` finds its place in an index."""
    hidden_columns: Sequence[str] = ()
    """Columns of every table that ``*`` leaves out."""

    quotes_all = False
    """Whether all names are quoted; else those that need it, as far as SQLAlchemy knows the words of the database."""
    keys_may_be_null = False
    """Whether a primary key may have nulls."""

    def __init__(self, config: "SqlSourceConfig") -> None:
        self.config = config

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        """``reads``: for the values of a stream. Otherwise the engine serves SQLAlchemy's inspector, which expects
        values as it knows them."""
        return sa.create_engine(url, hide_parameters=True)

    def check(self, url: "URL") -> str | None:
        """Why the address cannot be right, before anything is contacted."""
        return None

    def begin(self, connection: "Connection") -> None:
        """Settings of a transaction, or of the session."""

    def described(
        self, connection: "Connection", result: "sa.CursorResult[Any]", table: "Table | None"
    ) -> list[Column]:
        """The columns of a statement. ``table``: where they come from; None for a query."""
        return [Column(name) for name in result.keys()]  # noqa: SIM118 - no mapping

    def read(self, connection: "Connection", statement: "sa.Select[Any]", layout: "Layout") -> "Page":
        """The rows of a statement that selects the values of a layout."""
        return RowPage(connection.execute(statement).all(), layout)

    def selected(self, column: Column) -> "sa.ColumnElement[Any]":
        """The expression that is selected for a column. The reader gives it another name: pages are ordered by the
        column."""
        return column.expression

    def ordered(self, column: Column) -> "sa.ColumnElement[Any]":
        """The expression that orders pages by a column, and is compared with the values of keys."""
        return column.expression

    def keyed(self, column: Column) -> "sa.ColumnElement[Any]":
        """The expression whose value is kept as a key, and which ``bound`` takes."""
        return self.ordered(column)

    def bound(self, column: Column, value: Any) -> "sa.ColumnElement[Any]":
        """The value of a key, to be compared with ``ordered``."""
        return sa.bindparam(None, value, type_=sa.types.NULLTYPE, unique=True)

    def is_null(self, column: Column) -> "sa.ColumnElement[bool]":
        """Whether a column is null."""
        return column.expression.is_(None)

    def clock_of(self, column: Column, sample: Any) -> Clock:
        """How a column tells the time. ``sample``: its greatest value."""
        if isinstance(sample, datetime):
            return Clock.AWARE if sample.tzinfo is not None else Clock.LOCAL
        return column.clock

    def settled(self, connection: "Connection") -> datetime:
        """The moment before which no transaction can change a row any more, as far as the database tells; else now."""
        return utc_now()

    def local(self, connection: "Connection", moment: datetime) -> datetime:
        """A moment as the database's own clock shows it, without a zone."""
        return moment.astimezone(UTC).replace(tzinfo=None)

    def rendered(self, column: Column, moment: datetime, sample: Any) -> Any:
        """A moment, in the zone of the column, as a value of the column."""
        return moment.date() if column.clock is Clock.DATE else moment

    def wait_until_settled(self, connection: "Connection") -> bool:
        """Wait until every transaction that is open now has ended, as far as the database tells; False when that takes
        too long. For cursors that do not tell the time."""
        return True

    def abandon(self, connection: "Connection", result: "sa.CursorResult[Any]") -> None:
        """Close a result that has not been read to its end."""
        result.close()

    def estimates(self, connection: "Connection", schema: str | None) -> dict[str, int]:
        """About how many rows each table of a schema has, without counting them."""
        return {}

    def schemas(self, names: Iterable[str]) -> list[str]:
        """The schemas that hold more than the database's own tables."""
        return [name for name in names if name.lower() not in ("information_schema", "sys", "performance_schema")]

    def failure(self, error: BaseException) -> Failure:
        """The meaning of an error of the driver."""
        return Failure(False)


def quoted(name: str, *, quotes_all: bool) -> "sa.quoted_name":
    """A name in a statement; see ``Flavour.quotes_all``."""
    return sa.quoted_name(name, True if quotes_all else None)  # SQLAlchemy: None = when the name needs it


class Table(NamedTuple):
    """A table or a view."""

    name: str
    schema: str | None = None

    def clause(self, *, quotes_all: bool) -> "sa.TableClause":
        """The table in a statement."""
        schema = None if self.schema is None else quoted(self.schema, quotes_all=quotes_all)
        return sa.table(quoted(self.name, quotes_all=quotes_all), schema=schema)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name
