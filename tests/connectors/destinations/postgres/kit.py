"""Pipelines into a schema of a Postgres server."""

from contextlib import closing
from typing import Any

import psycopg
from connectors.destinations import table_kit
from postgres import Place
from psycopg.rows import dict_row

from bizon.connectors.destinations.postgres.src.config import PostgresConfig
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord

SYSTEM = {
    "_bizon_id": "bizon_id",
    "_bizon_extracted_at": "bizon_extracted_at",
    "_bizon_loaded_at": "bizon_loaded_at",
    "_source_record_id": "source_record_id",
    "_source_timestamp": "source_timestamp",
}


def settings(place: Place, **more: Any) -> dict[str, Any]:
    """``destination.config`` for the tables of a place."""
    where = {key: getattr(place, key) for key in ("host", "port", "database", "username", "password", "schema")}
    return {**where, "destination_id": "items", **more}


def block(place: Place, **more: Any) -> PostgresConfig:
    """The ``destination`` block."""
    return PostgresConfig(name="postgres", config=settings(place, **more))


def load(place: Place, mode: SourceSyncModes, *pages: list[SourceRecord], **more: Any) -> None:
    """Run a job that is not the first of its pipeline."""
    table_kit.load(block(place, **more), mode, *pages)


def rows_of(place: Place, table: str = "items") -> list[dict[str, Any]]:
    """The rows of a table; none where there is no table. JSON is text."""
    with closing(place.connect()) as connection:
        psycopg.types.json.set_json_loads(lambda text: bytes(text).decode(), connection)
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.cursor(row_factory=dict_row)
        found = cursor.execute("SELECT to_regclass(quote_ident(%s)) AS found", (table,)).fetchone()
        if found is None or found["found"] is None:
            return []
        return cursor.execute(psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(table))).fetchall()


def columns(place: Place, table: str = "items") -> dict[str, str]:
    """The columns of the records, with their types."""
    query = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return {name: kind for name, kind in place.rows(query, table) if name not in {*SYSTEM, "_bizon_rescued"}}


def tables(place: Place) -> list[str]:
    """The names of all tables of the schema."""
    return [name for (name,) in place.rows("SELECT tablename FROM pg_tables WHERE schemaname = %s", place.schema)]


class PostgresTarget(table_kit.Target):
    """A schema of a server."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def block(self, **settings: Any) -> PostgresConfig:
        return block(self.place, **settings)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.place.rows(statement)

    def columns(self, table: str = "items") -> dict[str, str]:
        return columns(self.place, table)

    def tables(self) -> list[str]:
        return tables(self.place)
