"""DuckDB, by its own driver. The types that Python cannot hold travel as text."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.duckdb_dialect import NAME
from bizon.connectors.sources.sql.src.durations import iso_duration
from bizon.connectors.sources.sql.src.flavour import Clock, Column, Failure, Flavour, Table

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

_MONTHS = {"year": 12, "month": 1}
_INTERVAL = re.compile(r"(-?\d+) (year|month|day)s?|(-)?(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_KEY_TYPES = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT", "VARCHAR")
_ESTIMATES = """
SELECT table_name, estimated_size FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = coalesce(?, 'main')
"""


class DuckDb(Flavour):
    """DuckDB."""

    quotes_all = True

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        return sa.create_engine(url.set(drivername=NAME), hide_parameters=True, pool_size=1)

    def check(self, url: "URL") -> str | None:
        name = url.database or ":memory:"
        if name == ":memory:":
            return (
                "the address names no file: write duckdb:///folder/file.duckdb, or duckdb:////folder/... from the root"
            )
        return None if Path(name).is_file() else f"there is no file {Path(name).absolute()}"

    def described(self, connection: "Connection", result: "sa.CursorResult[Any]", table: Table | None) -> list[Column]:
        return [_column(each[0], str(each[1])) for each in result.cursor.description or ()]

    def selected(self, column: Column) -> "sa.ColumnElement[Any]":
        if column.kind.startswith(("TIME", "DATE", "INTERVAL", "FLOAT")) and not column.kind.endswith("]"):
            return sa.cast(column.expression, sa.Text)
        return column.expression

    def keyed(self, column: Column) -> "sa.ColumnElement[Any]":
        return column.expression if column.kind in _KEY_TYPES else sa.cast(column.expression, sa.Text)

    def bound(self, column: Column, value: Any) -> "sa.ColumnElement[Any]":
        parameter = super().bound(column, value)
        return parameter if column.kind in _KEY_TYPES else sa.cast(parameter, _Named(column.kind))

    def rendered(self, column: Column, moment: datetime, sample: Any) -> str:
        return moment.date().isoformat() if column.clock is Clock.DATE else moment.isoformat(" ")

    def local(self, connection: "Connection", moment: datetime) -> datetime:
        return moment.astimezone(UTC).replace(tzinfo=None)

    def begin(self, connection: "Connection") -> None:
        connection.exec_driver_sql("SET GLOBAL TimeZone = 'UTC'")

    def estimates(self, connection: "Connection", schema: str | None) -> dict[str, int]:
        return {row[0]: row[1] for row in connection.exec_driver_sql(_ESTIMATES, (schema,))}

    def failure(self, error: BaseException) -> Failure:
        is_locked = "Could not set lock" in str(error)
        return Failure(is_locked, "another program has the file open for writing" if is_locked else "")


class _Named(sa.types.UserDefinedType[Any]):
    """A type by the name that DuckDB gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


def _column(name: str, kind: str) -> Column:
    if kind.startswith("TIMESTAMP") and not kind.endswith("]"):
        clock = Clock.AWARE if kind.endswith("WITH TIME ZONE") else Clock.LOCAL
        return Column(name, kind, values.moment, clock)
    if kind == "DATE":
        return Column(name, kind, None, Clock.DATE)
    if kind.startswith("TIME") and not kind.endswith("]"):
        return Column(name, kind, values.clock)
    convert = {"INTERVAL": interval, "JSON": values.json, "FLOAT": values.number}.get(kind, values.plain)
    return Column(name, kind, convert)


def interval(text: str) -> str:
    """``1 year 2 days 03:04:05.6`` as ISO 8601 writes it."""
    months = days = microseconds = 0
    for amount, unit, minus, hours, minutes, seconds, fraction in _INTERVAL.findall(text):
        if unit == "day":
            days += int(amount)
        elif unit:
            months += int(amount) * _MONTHS[unit]
        else:
            whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
            microseconds = (whole * 1_000_000 + int(fraction.ljust(6, "0") or 0)) * (-1 if minus else 1)
    return iso_duration(months, days, microseconds)
