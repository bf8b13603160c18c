"""Pipelines into a DuckDB file, with the parts of the loader and of the state played by the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from bizon.connectors.destinations.duckdb.src.config import DuckdbConfig
from bizon.destination.destination import DestinationFactory
from bizon.engine.backend.backend import BackendFactory
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord
from bizon.testing.destination_jobs import Pipeline

FULL_REFRESH, INCREMENTAL, STREAM = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM
MODES = [FULL_REFRESH, INCREMENTAL, STREAM]
SYSTEM = (
    "_bizon_id",
    "_bizon_extracted_at",
    "_bizon_loaded_at",
    "_source_record_id",
    "_source_timestamp",
    "_bizon_rescued",
)


def block(database: Path, **settings: Any) -> DuckdbConfig:
    return DuckdbConfig(name="duckdb", config={"database": str(database), "destination_id": "items", **settings})


@contextmanager
def pipeline(config: DuckdbConfig, mode: SourceSyncModes) -> Iterator[Pipeline]:
    def build(metadata: Any, details: Any, backend: Any, callback: Any, monitor: Any) -> Any:
        whole = config.model_copy(update={"config": details})
        return DestinationFactory.get_destination(metadata, whole, backend, callback, monitor)

    with BackendFactory.in_memory() as backend:
        backend.create_all_tables()
        into = Pipeline(build, config, mode, backend)
        yield into
        into.close()


def load(database: Path, mode: SourceSyncModes, *pages: list[SourceRecord], **settings: Any) -> None:
    """Run a job that is not the first of its pipeline."""
    with pipeline(block(database, **settings), mode) as into:
        into.has_history = True
        into.load(*pages)


def page(*records: dict[str, Any]) -> list[SourceRecord]:
    """A page of records; the key ``id`` is the id of the record, else its position."""
    return [SourceRecord(id=str(data.get("id", place)), data=data) for place, data in enumerate(records)]


def sql(database: Path, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement).fetchall()


def columns(database: Path, table: str = "items") -> dict[str, str]:
    """The columns of the records, with their types."""
    query = f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}' ORDER BY column_index"
    return {name: kind for name, kind in sql(database, query) if name not in SYSTEM}
