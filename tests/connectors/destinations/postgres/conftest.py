"""A schema of a Postgres server for each test, and rows as readers find them."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
from postgres import Place
from psycopg.rows import dict_row

from bizon.connectors.destinations.postgres.src.config import PostgresConfig


def settings(place: Place, **more: Any) -> dict[str, Any]:
    """``destination.config`` for the tables of a place."""
    return {
        "host": place.host,
        "port": place.port,
        "database": place.database,
        "username": place.username,
        "password": place.password,
        "schema": place.schema,
        "destination_id": "items",
        **more,
    }


def block(place: Place, **more: Any) -> PostgresConfig:
    """The ``destination`` block."""
    return PostgresConfig(name="postgres", config=settings(place, **more))


def rows_of(place: Place, table: str = "items", columns: str = "*") -> list[dict[str, Any]]:
    """The rows of a table; none where there is no table. JSON is text."""
    with closing(place.connect()) as connection:
        psycopg.types.json.set_json_loads(lambda text: bytes(text).decode(), connection)
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute("SELECT to_regclass(quote_ident(%s)) AS found", (table,)).fetchone()
        if found is None or found["found"] is None:
            return []
        quoted = psycopg.sql.Identifier(table).as_string()
        return cursor.execute(f"SELECT {columns} FROM {quoted}".encode()).fetchall()


@pytest.fixture
def place(postgres: Place) -> Place:
    """The schema of a test, with a hostile name; it does not exist yet."""
    return postgres
