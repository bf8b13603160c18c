"""PostgreSQL, by psycopg. Values travel as the text that the server writes, so that nothing is rounded on the way."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.postgres import types
from psycopg.types.string import TextLoader

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.flavour import CREDENTIALS, TOO_SLOW, Clock, Column, Failure, Flavour, Table
from bizon.connectors.sources.sql.src.postgres_copying import NoCopyError, copied
from bizon.connectors.sources.sql.src.postgres_transactions import OpenTransactions

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.connectors.sources.sql.src.database_rows import Layout, Page

_AS_THEY_ARE = ("bool", "int2", "int4", "int8", "oid", "text", "varchar", "bpchar", "name", '"char"')
_CONVERSIONS: dict[str, values.Convert] = {
    "bytea": values.hex_as_base64,
    "float4": values.number,
    "float8": values.number,
    "json": values.json,
    "jsonb": values.json,
    "timestamp": values.moment,
    "timestamptz": values.moment,
    "timetz": values.clock,
}
_CLOCKS = {"timestamptz": Clock.AWARE, "timestamp": Clock.LOCAL, "date": Clock.DATE}
_CONNECTING = {
    "application_name": "bizon",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_SETTINGS = """
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
    set_config('IntervalStyle', 'iso_8601', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true), set_config('standard_conforming_strings', 'on', true),
    set_config('idle_in_transaction_session_timeout', '0', true)
"""
_ESTIMATES = """
SELECT relname, CAST(reltuples AS int8) FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS name), current_schema()))
    AND reltuples >= 0 AND relkind IN ('r', 'p', 'm', 'f')
"""
_PASSING = ("08", "40", "57P", "53")  # connections, serialization and deadlocks, restarts, resources
_REFUSALS = ("authentication failed", "does not exist", "no password supplied", "pg_hba.conf", "certificate")
_TIMED_OUT = "57014"


class Postgres(Flavour):
    """PostgreSQL, and what speaks its protocol."""

    quotes_all = True
    reads_ahead = True
    compares_rows = True

    def __init__(self, config: "SqlSourceConfig") -> None:
        super().__init__(config)
        self._has_copy: bool | None = None  # None = not known before the first page
        self._transactions = OpenTransactions(has_lookback=bool(config.overlap))

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=1,
            isolation_level="READ COMMITTED",  # a snapshot from before the open transactions were asked for loses rows
            use_native_hstore=False,
            connect_args={
                "client_encoding": "utf8",
                "prepare_threshold": None,  # a pooler gives each transaction another session
                **{name: value for name, value in _CONNECTING.items() if name not in url.query},
            },
        )
        if reads:
            sa.event.listen(engine, "connect", _load_text)
        return engine

    def begin(self, connection: "Connection") -> None:
        connection.exec_driver_sql(f"{_SETTINGS}, set_config('transaction_read_only', 'on', true){self._timeout()}")

    def described(self, connection: "Connection", result: "sa.CursorResult[Any]", table: Table | None) -> list[Column]:
        description: Any = result.cursor.description
        found = [(each.name, each.type_code) for each in description]
        unknown = [oid for _, oid in found if types.get(oid) is None]
        as_json = self._without_a_type(connection, unknown) if unknown else set()
        return [_column(name, oid, oid in as_json) for name, oid in found]

    def read(self, connection: "Connection", statement: "sa.Select[Any]", layout: "Layout") -> "Page":
        """By COPY, unless the server does not know it, which the first page tells."""
        if self._has_copy is None:
            try:
                with connection.begin_nested():
                    page = copied(connection, statement, layout)
            except NoCopyError:
                self._has_copy = False
            else:
                self._has_copy = True
                return page
        return copied(connection, statement, layout) if self._has_copy else super().read(connection, statement, layout)

    def selected(self, column: Column) -> "sa.ColumnElement[Any]":
        if column.convert is values.json and column.kind is None:
            return sa.cast(sa.func.to_json(column.expression), sa.Text)
        return column.expression

    def keyed(self, column: Column) -> "sa.ColumnElement[Any]":
        kind = types.get(column.kind) if column.kind else None
        is_array = kind is not None and kind.array_oid == column.kind
        return sa.cast(column.expression, sa.Text) if is_array else column.expression

    def settled(self, connection: "Connection") -> datetime:
        return self._transactions.settled(connection)

    def wait_until_settled(self, connection: "Connection") -> bool:
        return self._transactions.wait_until_ended(connection)

    def local(self, connection: "Connection", moment: datetime) -> datetime:
        zone = "(SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')"
        text = connection.execute(
            sa.text(f"SELECT CAST(CAST(:moment AS timestamptz) AT TIME ZONE {zone} AS text)"),
            {"moment": moment.isoformat()},
        ).scalar_one()
        return datetime.fromisoformat(text)

    def rendered(self, column: Column, moment: datetime, sample: Any) -> str:
        return moment.date().isoformat() if column.clock is Clock.DATE else moment.isoformat(" ")

    def estimates(self, connection: "Connection", schema: str | None) -> dict[str, int]:
        return {row[0]: row[1] for row in connection.execute(sa.text(_ESTIMATES), {"schema": schema})}

    def schemas(self, names: Any) -> list[str]:
        return [name for name in super().schemas(names) if not name.startswith("pg_")]

    def failure(self, error: BaseException) -> Failure:
        state = getattr(error, "sqlstate", None)
        if state == _TIMED_OUT:
            return Failure(False, TOO_SLOW)
        if state is not None:
            return Failure(state.startswith(_PASSING))
        if any(each in str(error) for each in _REFUSALS):
            return Failure(False, CREDENTIALS)
        return Failure(isinstance(error, psycopg.OperationalError))

    def _timeout(self) -> str:
        seconds = self.config.statement_timeout
        return "" if seconds is None else f", set_config('statement_timeout', '{int(seconds * 1000)}', true)"

    def _without_a_type(self, connection: "Connection", oids: list[int]) -> set[int]:
        """The types that are composite, or arrays of types that the driver does not know."""
        statement = sa.text("SELECT oid FROM pg_type WHERE oid IN :oids AND (typcategory = 'A' OR typtype = 'c')")
        rows = connection.execute(statement.bindparams(sa.bindparam("oids", oids, expanding=True)))
        return set(rows.scalars())


def _load_text(connection: "psycopg.Connection[Any]", _record: Any) -> None:
    for kind in types:
        if kind.name not in _AS_THEY_ARE:
            connection.adapters.register_loader(kind.oid, TextLoader)


def _column(name: str, oid: int, is_json: bool) -> Column:
    if is_json:
        return Column(name, None, values.json)
    kind = types.get(oid)
    if kind is None:
        return Column(name, oid, None)
    convert = _CONVERSIONS.get(kind.name)
    if oid == kind.array_oid:
        return Column(name, oid, None if convert is None else values.each(convert))
    return Column(name, oid, convert, _CLOCKS.get(kind.name, Clock.NONE))
