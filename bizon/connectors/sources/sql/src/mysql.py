"""MariaDB and MySQL, by PyMySQL. Values travel as the text that the server writes."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pymysql
import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE, FLAG
from pymysql.converters import encoders

from bizon.connectors.sources.sql.src import values
from bizon.connectors.sources.sql.src.flavour import CREDENTIALS, TOO_SLOW, Clock, Column, Failure, Flavour, Table

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

_INTEGERS = (
    FIELD_TYPE.TINY,
    FIELD_TYPE.SHORT,
    FIELD_TYPE.INT24,
    FIELD_TYPE.LONG,
    FIELD_TYPE.LONGLONG,
    FIELD_TYPE.YEAR,
)
_CONVERSIONS: dict[int, values.Convert] = {
    FIELD_TYPE.BIT: values.bits,
    FIELD_TYPE.DATETIME: values.moment,
    FIELD_TYPE.DOUBLE: values.number,
    FIELD_TYPE.FLOAT: values.single_number,
    FIELD_TYPE.JSON: values.json,
    FIELD_TYPE.TIMESTAMP: values.utc_moment,
}
_CLOCKS = {FIELD_TYPE.TIMESTAMP: Clock.AWARE, FIELD_TYPE.DATETIME: Clock.LOCAL, FIELD_TYPE.DATE: Clock.DATE}
_DECIMALS = (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL)
_PASSING = (1040, 1053, 1158, 1159, 1160, 1161, 1205, 1213, 1927, 2002, 2003, 2006, 2013)
_REFUSED = (1044, 1045, 1698)
_TIMED_OUT = (1969, 3024)
_SILENCE = 3600  # seconds; a server that says nothing for longer is gone
_JSON_COLUMNS = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = coalesce(:schema, database()) AND TABLE_NAME = :name AND CHECK_CLAUSE LIKE 'json_valid(%'
"""
_ESTIMATES = """
SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(:schema, database()) AND TABLE_ROWS IS NOT NULL
"""


class MySql(Flavour):
    """MariaDB and MySQL."""

    quotes_all = True

    def engine(self, url: "URL", *, reads: bool) -> "Engine":
        waits = {"connect_timeout": 10, "read_timeout": _SILENCE}
        arguments: dict[str, Any] = {name: value for name, value in waits.items() if name not in url.query}
        arguments["charset"] = "utf8mb4"
        if reads:
            arguments["conv"] = {**encoders, **dict.fromkeys(_INTEGERS, int)}
        engine = sa.create_engine(url, hide_parameters=True, pool_size=1, connect_args=arguments)
        if reads:
            sa.event.listen(engine, "connect", self._settings)
        return engine

    def described(self, connection: "Connection", result: "sa.CursorResult[Any]", table: Table | None) -> list[Column]:
        fields: Any = result.cursor._result.fields  # noqa: SLF001 - the description has no flags
        json = self._json_columns(connection, table) if table is not None else ()
        return [_column(field, field.name in json) for field in fields]

    def selected(self, column: Column) -> "sa.ColumnElement[Any]":
        if column.convert is values.single_number:
            return column.expression + sa.literal_column("0e0")  # a FLOAT is shown with 6 digits
        return column.expression

    def ordered(self, column: Column) -> "sa.ColumnElement[Any]":
        if column.kind == "enum":  # ordered by number, compared by name
            return sa.cast(column.expression, sa.CHAR)
        zero = {FIELD_TYPE.FLOAT: "0e0", FIELD_TYPE.BIT: "0"}.get(column.kind)
        return column.expression if zero is None else column.expression + sa.literal_column(zero)

    def bound(self, column: Column, value: Any) -> "sa.ColumnElement[Any]":
        if isinstance(value, str) and column.kind in (*_DECIMALS, FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE):
            return sa.literal_column(_number(value, column.kind))  # compared with a text, it would be rounded
        return super().bound(column, value)

    def is_null(self, column: Column) -> "sa.ColumnElement[bool]":
        """With an operator for which a date of zeros is not null."""
        return column.expression.op("<=>", is_comparison=True)(sa.literal_column("NULL"))

    def settled(self, connection: "Connection") -> datetime:
        text = connection.exec_driver_sql("SELECT utc_timestamp(6)").scalar_one()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def local(self, connection: "Connection", moment: datetime) -> datetime:
        text = connection.execute(
            sa.text("SELECT convert_tz(:moment, '+00:00', @@global.time_zone)"),
            {"moment": moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")},
        ).scalar_one()
        return super().local(connection, moment) if text is None else datetime.fromisoformat(str(text))

    def rendered(self, column: Column, moment: datetime, sample: Any) -> str:
        if column.clock is Clock.DATE:
            return moment.date().isoformat()
        return moment.replace(tzinfo=None).isoformat(" ")

    def abandon(self, connection: "Connection", result: "sa.CursorResult[Any]") -> None:
        """Drops the connection; else the driver reads the rest of the table before it closes the result."""
        cursor: Any = result.cursor
        if cursor is not None and cursor._result is not None:  # noqa: SLF001 - the driver has no other way
            cursor._result.unbuffered_active = False  # noqa: SLF001
        connection.invalidate()

    def estimates(self, connection: "Connection", schema: str | None) -> dict[str, int]:
        return {str(row[0]): int(row[1]) for row in connection.execute(sa.text(_ESTIMATES), {"schema": schema})}

    def schemas(self, names: Any) -> list[str]:
        return [name for name in super().schemas(names) if name != "mysql"]

    def failure(self, error: BaseException) -> Failure:
        code = error.args[0] if error.args else None
        if code in _TIMED_OUT:
            return Failure(False, TOO_SLOW)
        if code in _REFUSED:
            return Failure(False, CREDENTIALS)
        return Failure(code in _PASSING or isinstance(error, pymysql.InterfaceError))

    def _settings(self, connection: Any, _record: Any) -> None:
        """The zone in which moments are shown; no change of data; and a stream that may be read slowly."""
        settings = ["SET SESSION time_zone = '+00:00', net_write_timeout = 3600", "SET SESSION TRANSACTION READ ONLY"]
        if self.config.statement_timeout is not None:
            is_maria = "MariaDB" in connection.get_server_info()
            name, unit = ("max_statement_time", 1) if is_maria else ("max_execution_time", 1000)
            settings.append(f"SET SESSION {name} = {self.config.statement_timeout * unit:.3f}".removesuffix(".000"))
        with connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(setting)

    def _json_columns(self, connection: "Connection", table: Table) -> set[str]:
        """The columns of MariaDB that were declared JSON, which are texts with a condition."""
        if not getattr(connection.dialect, "is_mariadb", False):
            return set()
        rows = connection.execute(sa.text(_JSON_COLUMNS), {"schema": table.schema, "name": table.name})
        return {clause[len("json_valid(`") : -len("`)")].replace("``", "`") for clause in rows.scalars()}


def _column(field: Any, is_json: bool) -> Column:
    code = field.type_code
    if is_json:
        return Column(field.name, code, values.json_if_valid)
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return Column(field.name, "enum", None)
    convert = _CONVERSIONS.get(code)
    if convert is None and code not in (*_INTEGERS, *_DECIMALS):
        convert = values.plain  # a text, or bytes
    return Column(field.name, code, convert, _CLOCKS.get(code, Clock.NONE))


def _number(text: str, kind: Any) -> str:
    """The literal of a number that the server has written."""
    float(text)
    return text if kind in _DECIMALS or "e" in text.lower() else f"{text}e0"
