"""A database behind a DB-API 2.0 driver (PEP 249): one connection, transactions, and the spelling of SQL."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import polars as pl

_MOMENT_AS_TEXT = "%Y-%m-%dT%H:%M:%S%.6f%:z"
_TIME_AS_TEXT = "%H:%M:%S%.9f"
_OWN_TABLES = "_bizon_"
_PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{}", "named": ":{}"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells what standard SQL leaves open. The defaults suit PostgreSQL.

    ``text`` holds a record of any length and tells ``a`` from ``A``; ``key`` is text that a primary key may have;
    ``moment`` keeps microseconds. ``moments_as_text``: moments are stored as RFC 3339 text, days and times as ISO 8601
    text, decimals as their digits, and truth as 0 and 1. ``longest_name``: bytes, or characters with
    ``counts_characters``; None: a name may have any length. ``retypes``: the type of a column can be changed.
    """

    quote: str = '"'
    text: str = "TEXT"
    key: str = "VARCHAR(255)"
    moment: str = "TIMESTAMP WITH TIME ZONE"
    number: str = "BIGINT"
    moments_as_text: bool = False
    longest_name: int | None = 63
    counts_characters: bool = False
    retypes: bool = True

    def fault_of(self, table: str) -> str | None:
        """Why the name of a table is refused: the database refuses or shortens it, or bizon keeps it for a table of its
        own. None for any other name."""
        if not table or "\0" in table:
            return f"{table!r} does not name a table: it is empty, or has NUL in it"
        if table.casefold().startswith(_OWN_TABLES):
            return f"the name of table '{table}' begins with {_OWN_TABLES}: only bizon's own tables have such names"
        length = len(table) if self.counts_characters else len(table.encode())
        if self.longest_name is None or length <= self.longest_name:
            return None
        unit = "characters" if self.counts_characters else "bytes"
        return f"the name of table '{table}' has {length} {unit}, and the database takes {self.longest_name}"

    def values(self, frame: pl.DataFrame) -> Iterable[tuple[Any, ...]]:
        """The rows of a frame, as the driver takes them."""
        if self.moments_as_text:
            frame = frame.with_columns(
                pl.col(pl.Datetime).dt.strftime(_MOMENT_AS_TEXT),
                pl.col(pl.Time).dt.strftime(_TIME_AS_TEXT),
                pl.col(pl.Date, pl.Decimal).cast(pl.String),
            )
        return frame.iter_rows()

    def frame(self, rows: Sequence[tuple[Any, ...]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """The rows of a query in columns of these types: what ``values`` has stored, as it was."""
        if not self.moments_as_text:
            return pl.DataFrame(rows, schema=schema, orient="row")
        stored = {name: _stored(kind) for name, kind in schema.items()}
        found = pl.DataFrame(rows, schema=stored, orient="row")
        return found.select(_read(pl.col(name), kind) for name, kind in schema.items())


def _stored(kind: pl.DataType) -> pl.DataType:
    """The type in which a value of this one comes back."""
    if kind == pl.Boolean:
        return pl.Int64()
    return pl.String() if kind.is_temporal() or kind.is_decimal() else kind


def _read(stored: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        return stored.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC")
    if isinstance(kind, pl.Decimal):
        return stored.str.to_decimal(scale=kind.scale).cast(kind)
    if kind == pl.Time:
        return stored.str.to_time("%H:%M:%S%.f")
    return stored.str.to_date("%Y-%m-%d") if kind == pl.Date else stored.cast(kind)


SQLITE = Dialect(moment="TEXT", moments_as_text=True, longest_name=None, retypes=False)
_EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"  # of each text, whatever the default of the database is
MARIADB = Dialect(
    quote="`",
    text=f"LONGTEXT {_EXACT}",
    key=f"VARCHAR(255) {_EXACT}",
    moment="DATETIME(6)",
    longest_name=64,
    counts_characters=True,
)


class Transaction:
    """Statements of one transaction. A statement names tables and columns as ``{name}``, and values as ``?``."""

    def __init__(self, cursor: Any, style: str, quote: str) -> None:
        self._cursor = cursor
        self._placeholder = _PLACEHOLDERS[style]
        self._doubles_percent = "%" in self._placeholder
        self._quote = quote

    @property
    def cursor(self) -> Any:
        """The cursor of the driver, for calls that a statement cannot express."""
        return self._cursor

    def run(self, statement: str, *values: Any, **names: str) -> None:
        """Execute a statement."""
        self._cursor.execute(self.spelled(statement, **names), values)

    def run_for_each(self, statement: str, rows: Iterable[Sequence[Any]], **names: str) -> None:
        """Execute a statement for each row of values, of which there is at least one."""
        self._cursor.executemany(self.spelled(statement, **names), list(rows))

    def rows(self, query: str, *values: Any, **names: str) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        self.run(query, *values, **names)
        return [tuple(row) for row in self._cursor.fetchall()]

    def spelled(self, statement: str, **names: str) -> str:
        """The statement as the driver takes it."""
        number = count(1)
        marked = "".join(self._placeholder.format(next(number)) if part == "?" else part for part in statement)
        return marked.format(**{key: self._quoted(name) for key, name in names.items()})

    def _quoted(self, name: str) -> str:
        text = f"{self._quote}{name.replace(self._quote, self._quote * 2)}{self._quote}"
        return text.replace("%", "%%") if self._doubles_percent else text


class SqlTarget:
    """The connection of one run, opened when it is needed, and again after an error.

    ``driver``: the module of the driver, for its ``paramstyle``. ``connect``: opens a connection whose transactions
    begin by themselves and end with ``commit``, as the DB-API says. Used on one thread.
    """

    def __init__(self, driver: Any, connect: Callable[[], Any], dialect: Dialect) -> None:
        self.dialect = dialect
        self.driver = driver
        self._connect = connect
        self._connection: Any = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Within: all statements take effect, durably, or none. Raises the errors of the driver.

        In databases whose DDL commits by itself, a statement that creates or drops a table stands alone in its
        transaction.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            with closing(self._connection.cursor()) as cursor:
                yield Transaction(cursor, self.driver.paramstyle, self.dialect.quote)
            self._connection.commit()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up an open transaction, and the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self.driver.Error):
                connection.rollback()
            with suppress(self.driver.Error):
                connection.close()
