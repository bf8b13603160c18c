"""SQLite, in a file. Each value has its own type, whatever the column was declared as."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.flavour import Clock, Column, Failure, Flavour, Table

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

_PATIENCE = 30  # seconds to wait for a writer
_FORM = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?")


class Sqlite(Flavour):
    """SQLite. A cursor that is a text like a date and time tells the time; bizon's own clock is the database's."""

    quotes_all = True
    compares_rows = True
    hidden_columns = ("rowid",)
    keys_may_be_null = True

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": _PATIENCE})
        sa.event.listen(engine, "connect", _settings)
        return engine

    def check(self, url: "URL") -> str | None:
        name = url.database or ":memory:"
        if name == ":memory:":
            return (
                "the address names no file: write sqlite:///folder/file.db, or sqlite:////folder/file.db from the root"
            )
        if not name.startswith("file:") and not Path(name).is_file():
            return f"there is no file {Path(name).absolute()}"
        return None

    def described(self, connection: "Connection", result: "sa.CursorResult[Any]", table: Table | None) -> list[Column]:
        json: set[str] = set()
        if table is not None:
            pragma = "SELECT name FROM pragma_table_info(:name, :schema) WHERE upper(type) = 'JSON'"
            rows = connection.execute(sa.text(pragma), {"name": table.name, "schema": table.schema or "main"})
            json = set(rows.scalars())
        convert = {True: values.json_if_valid, False: values.plain}
        return [Column(name, None, convert[name in json]) for name in result.keys()]  # noqa: SIM118 - no mapping

    def clock_of(self, column: Column, sample: Any) -> Clock:
        found = _FORM.fullmatch(sample) if isinstance(sample, str) else None
        if found is None:
            return Clock.NONE
        return Clock.DATE if found[1] is None else Clock.AWARE

    def rendered(self, column: Column, moment: datetime, sample: Any) -> str:
        """In the form of the values, since texts are compared as texts."""
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        found = _FORM.fullmatch(sample if isinstance(sample, str) else "")
        if found is None:
            return utc.strftime("%Y-%m-%d %H:%M:%S")
        clock, seconds, fraction, zone = found.groups()
        if clock is None:
            return utc.date().isoformat() + (zone or "")
        text = utc.strftime(f"%Y-%m-%d{clock[0]}%H:%M{':%S' if seconds else ''}")
        if fraction:
            text += f".{utc.microsecond:06d}".ljust(len(fraction), "0")[: len(fraction)]
        return text + (zone if zone in ("Z", None) else re.sub(r"\d", "0", zone).replace("-", "+")) if zone else text

    def estimates(self, connection: "Connection", schema: str | None) -> dict[str, int]:
        """The counts of ANALYZE, else the greatest row number."""
        prefix = connection.dialect.identifier_preparer.quote(schema) + "." if schema else ""
        tables = connection.exec_driver_sql(
            f"SELECT name FROM {prefix}sqlite_master WHERE type = 'table' AND upper(sql) NOT LIKE '%WITHOUT ROWID%' "
            "AND upper(sql) NOT LIKE 'CREATE VIRTUAL%'"
        )
        found: dict[str, int] = {}
        for name in tables.scalars().all():
            greatest: sa.Select[Any] = sa.select(sa.func.max(sa.column("rowid"))).select_from(
                Table(name, schema).clause(quotes_all=True)
            )
            found[name] = connection.execute(greatest).scalar() or 0
        if connection.exec_driver_sql(f"SELECT 1 FROM {prefix}sqlite_master WHERE name = 'sqlite_stat1'").first():
            stats = connection.exec_driver_sql(f"SELECT tbl, stat FROM {prefix}sqlite_stat1 WHERE stat IS NOT NULL")
            found |= {row[0]: int(row[1].split(" ")[0]) for row in stats}
        return found

    def failure(self, error: BaseException) -> Failure:
        is_busy = "database is locked" in str(error) or "database table is locked" in str(error)
        return Failure(is_busy, "another program holds the file locked" if is_busy else "")


def _settings(connection: Any, _record: Any) -> None:
    connection.text_factory = _text
    connection.execute("PRAGMA query_only = ON")


def _text(data: bytes) -> str | bytes:
    """A text; bytes when it is not UTF-8, which nothing in SQLite prevents."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
