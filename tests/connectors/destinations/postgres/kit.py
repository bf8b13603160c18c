"""Pipelines into a schema of a Postgres server, with the parts of the loader and of the state played by the test."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from postgres import Place
from psycopg.rows import dict_row

from bizon.connectors.destinations.postgres.src.config import PostgresConfig
from bizon.destination.destination import DestinationFactory
from bizon.engine.backend.backend import BackendFactory
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord
from bizon.testing.destination_jobs import Pipeline

FULL_REFRESH, INCREMENTAL, STREAM = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM
MODES = [FULL_REFRESH, INCREMENTAL, STREAM]
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


@contextmanager
def pipeline(config: PostgresConfig, mode: SourceSyncModes, name: str = "conformance") -> Iterator[Pipeline]:
    """Within: a pipeline whose state is in memory."""

    def build(metadata: Any, details: Any, backend: Any, callback: Any, monitor: Any) -> Any:
        whole = config.model_copy(update={"config": details})
        return DestinationFactory.get_destination(metadata, whole, backend, callback, monitor)

    with BackendFactory.in_memory() as backend:
        backend.create_all_tables()
        into = Pipeline(build, config, mode, backend, name)
        try:
            yield into
        finally:
            into.close()


def load(place: Place, mode: SourceSyncModes, *pages: list[SourceRecord], **more: Any) -> None:
    """One job from start to end."""
    with pipeline(block(place, **more), mode) as into:
        into.has_history = True
        into.load(*pages)


def page(*records: dict[str, Any]) -> list[SourceRecord]:
    """A page of records; the key ``id`` is the id of the record, else its position."""
    return [SourceRecord(id=str(data.get("id", place)), data=data) for place, data in enumerate(records)]


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
