"""Pages of PostgreSQL by COPY, which costs the client less than rows of values."""

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.postgres import types
from psycopg.pq import Format
from sqlalchemy.exc import DBAPIError

from bizon.connectors.sources.sql.src.copied import CopiedPage, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from bizon.connectors.sources.sql.src.flavour import Column
    from bizon.connectors.sources.sql.src.rows import Layout

_NUMBERS = ("int2", "int4", "int8", "oid")


class NoCopyError(Exception):
    """The server has no COPY for this statement."""


def copied(connection: "sa.Connection", statement: "sa.Select[Any]", layout: "Layout") -> CopiedPage:
    """The rows of a statement. Raises NoCopyError, DBAPIError."""
    compiled = statement.compile(dialect=connection.dialect)
    driver: Any = connection.connection.driver_connection
    kinds = [_kind(driver, column) for column in layout.columns]
    kinds += [_kind(driver, column, is_key=True) for column in layout.order]
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY ({compiled}) TO STDOUT", compiled.params) as copy:
            text = b"".join(copy)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.SyntaxError) as error:
        raise NoCopyError(str(error)) from error
    except psycopg.Error as error:
        is_lost = driver.closed
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=is_lost) from error
    return CopiedPage(text, layout, kinds)


def _kind(driver: Any, column: "Column", *, is_key: bool = False) -> Kind:
    """How the values of a column travel. An array in a key is text."""
    kind = types.get(column.kind) if column.kind else None
    if kind is None:
        return Kind()
    if kind.array_oid == column.kind:
        return Kind() if is_key else Kind(load=_loader(driver, column.kind))
    return Kind(is_number=kind.name in _NUMBERS, is_bool=kind.name == "bool")


def _loader(driver: Any, oid: int) -> "Callable[[bytes], Any]":
    return Transformer(driver).get_loader(oid, Format.TEXT).load
