"""PostgreSQL, by psycopg. Values travel as the text that the server writes, so that nothing is rounded on the way."""

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.adapt import Buffer, Loader
from psycopg.postgres import types

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import rest
from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.flavour import Clock, Column, Failure, Flavour, Table

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

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
_MARGIN = timedelta(seconds=1)  # a transaction is in pg_stat_activity a moment after it began
_PATIENCE = 60  # seconds to wait for open transactions
_SETTINGS = """
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
    set_config('IntervalStyle', 'iso_8601', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true), set_config('standard_conforming_strings', 'on', true),
    set_config('idle_in_transaction_session_timeout', '0', true)
"""
_OPEN = """
SELECT clock_timestamp() AS now, min(xact_start) AS oldest,
    count(*) FILTER (WHERE state = 'disabled' OR (state IS NULL AND xact_start IS NULL AND NOT (
        pg_has_role('pg_read_all_stats', 'USAGE') OR pg_has_role(usesysid, 'USAGE')))) AS hidden,
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
    pg_is_in_recovery() AS is_standby
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
"""
_ESTIMATES = """
SELECT relname, reltuples::int8 FROM pg_class
WHERE relnamespace = CAST(:schema AS regnamespace) AND reltuples >= 0 AND relkind IN ('r', 'p', 'm', 'f')
"""
_PASSING = ("08", "40", "57P", "53")  # connections, serialization and deadlocks, restarts, resources
_REFUSALS = ("authentication failed", "does not exist", "no password supplied", "pg_hba.conf", "certificate")
_TIMED_OUT = "57014"


class Text(Loader):
    """A value as the server writes it."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class Postgres(Flavour):
    """PostgreSQL, and what speaks its protocol."""

    compares_rows = True

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=1,
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
        found = [(each[0], int(each[1])) for each in result.cursor.description or ()]
        unknown = [oid for _, oid in found if types.get(oid) is None]
        as_json = self._without_a_type(connection, unknown) if unknown else set()
        return [_column(name, oid, oid in as_json) for name, oid in found]

    def selected(self, column: Column) -> "sa.ColumnElement[Any]":
        if column.convert is values.json and column.kind is None:
            return sa.cast(sa.func.to_json(column.expression), sa.Text).label(column.name)
        return column.expression

    def settled(self, connection: "Connection") -> datetime:
        connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        found = connection.exec_driver_sql(_OPEN).one()
        now = _aware(found.now)
        reason = _unknown(found)
        if reason is None:
            return min(now - _MARGIN, now if found.oldest is None else _aware(found.oldest))
        if not self.config.overlap:
            raise SourceFetchError(f"{reason}. Or set source.lookback to longer than a transaction lasts")
        logger.warning(f"{reason}: only source.lookback covers rows that are committed late")
        return now - _MARGIN

    def wait_until_settled(self, connection: "Connection") -> bool:
        until, moment = (
            monotonic() + _PATIENCE,
            _aware(connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()),
        )
        while self.settled(connection) <= moment:
            if monotonic() > until:
                return False
            rest(0.2)
        return True

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
        name = connection.dialect.identifier_preparer.quote(schema or "public")
        return {row[0]: row[1] for row in connection.execute(sa.text(_ESTIMATES), {"schema": name})}

    def schemas(self, names: Any) -> list[str]:
        return [name for name in super().schemas(names) if not name.startswith("pg_")]

    def failure(self, error: BaseException) -> Failure:
        state = getattr(error, "sqlstate", None)
        if state == _TIMED_OUT:
            return Failure(
                False,
                "the statement was cancelled; when it takes too long, lower source.page_size, put an index on the "
                "columns of key and cursor, or raise source.statement_timeout",
            )
        if state is not None:
            return Failure(state.startswith(_PASSING))
        refused = any(each in str(error) for each in _REFUSALS)
        return Failure(isinstance(error, psycopg.OperationalError) and not refused)

    def _timeout(self) -> str:
        seconds = self.config.statement_timeout
        return "" if seconds is None else f", set_config('statement_timeout', '{int(seconds * 1000)}', true)"

    def _without_a_type(self, connection: "Connection", oids: list[int]) -> set[int]:
        """Those of the types that are composite, or arrays of types that the driver does not know."""
        statement = sa.text("SELECT oid FROM pg_type WHERE oid IN :oids AND (typcategory = 'A' OR typtype = 'c')")
        rows = connection.execute(statement.bindparams(sa.bindparam("oids", oids, expanding=True)))
        return set(rows.scalars())


def _load_text(connection: "psycopg.Connection[Any]", _record: Any) -> None:
    for kind in types:
        if kind.name not in _AS_THEY_ARE:
            connection.adapters.register_loader(kind.oid, Text)


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


def _unknown(found: Any) -> str | None:
    """Why the open transactions are unknown."""
    if found.is_standby:
        return (
            "this server is a standby, which does not show the open transactions of its primary: read from the primary"
        )
    if found.prepared:
        return (
            f"{found.prepared} prepared transactions wait for COMMIT PREPARED or ROLLBACK PREPARED, and nothing tells "
            "when they began: end them"
        )
    if found.hidden:
        return (
            f"{found.hidden} sessions of other roles are hidden from this role, so rows of their open transactions "
            "could be lost: GRANT pg_read_all_stats to the role"
        )
    return None


def _aware(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
