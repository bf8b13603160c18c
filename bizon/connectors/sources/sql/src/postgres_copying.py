"""Pages of PostgreSQL by COPY, which costs the client less than rows of values."""

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.generators import fetch_many
from psycopg.postgres import types
from psycopg.pq import ExecStatus, Format
from psycopg.waiting import Wait
from sqlalchemy.exc import DBAPIError

from bizon.connectors.sources.sql.src.copied import AT_ONCE, CopiedPage
from bizon.connectors.sources.sql.src.copied_values import rule_of

if TYPE_CHECKING:
    import sqlalchemy as sa
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from bizon.connectors.sources.sql.src.copied import Rule
    from bizon.connectors.sources.sql.src.database_rows import Layout
    from bizon.connectors.sources.sql.src.flavour import Column


class NoCopyError(Exception):
    """The server has no COPY for this statement."""


def copied(connection: "sa.Connection", statement: "sa.Select[Any]", layout: "Layout") -> CopiedPage:
    """The rows of a statement. Raises NoCopyError, DBAPIError."""
    compiled = statement.compile(dialect=connection.dialect)
    driver: Any = connection.connection.driver_connection
    rules = [_rule(driver, column) for column in layout.columns]
    keys = [_rule(driver, column._replace(convert=None), is_key=True) for column in layout.order]
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY ({compiled}) TO STDOUT", compiled.params):
            blocks = driver.wait(_rows(driver.pgconn))
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.SyntaxError) as error:
        raise NoCopyError(str(error)) from error
    except psycopg.Error as error:
        is_lost = driver.closed
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=is_lost) from error
    return CopiedPage(blocks, layout, rules, keys)


def _rows(session: "PGconn") -> "PQGen[list[bytes]]":
    """The rows of a COPY that has begun, in blocks. As psycopg's ``Copy`` reads them, but with one wait for all of
    them: a wait for each row costs the client more than everything else that becomes of it."""
    blocks: list[bytes] = []
    rows: list[bytes] = []
    while True:
        size, row = session.get_copy_data(1)
        if size > 0:
            rows.append(bytes(row))
            if len(rows) == AT_ONCE:
                blocks.append(b"".join(rows))
                rows.clear()
        elif size == 0:
            while not (yield Wait.R):
                pass  # it is asked again from time to time, so that signals are seen
            session.consume_input()
        else:
            break
    (result,) = yield from fetch_many(session)
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)
    return [*blocks, b"".join(rows)] if rows else blocks


def _rule(driver: Any, column: "Column", *, is_key: bool = False) -> "Rule":
    """An array is loaded as in a row; in a key it is text."""
    kind = types.get(column.kind) if column.kind else None
    if kind is None:
        return rule_of(None, column.convert)
    if kind.array_oid != column.kind:
        return rule_of(kind.name, column.convert)
    load = None if is_key else Transformer(driver).get_loader(column.kind, Format.TEXT).load
    return rule_of(None, column.convert, load)
