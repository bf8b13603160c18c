"""Pipelines into a DuckDB file."""

from pathlib import Path
from typing import Any

import duckdb
from connectors.destinations import table_kit

from bizon.connectors.destinations.duckdb.src.config import DuckdbConfig
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord

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


def load(database: Path, mode: SourceSyncModes, *pages: list[SourceRecord], **settings: Any) -> None:
    """Run a job that is not the first of its pipeline."""
    table_kit.load(block(database, **settings), mode, *pages)


def sql(database: Path, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement).fetchall()


def columns(database: Path, table: str = "items") -> dict[str, str]:
    """The columns of the records, with their types."""
    query = f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}' ORDER BY column_index"
    return {name: kind for name, kind in sql(database, query) if name not in SYSTEM}


class DuckdbTarget(table_kit.Target):
    """A file."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def block(self, **settings: Any) -> DuckdbConfig:
        return block(self.database, **{"destination_id": "items", **settings})

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return sql(self.database, statement)

    def columns(self, table: str = "items") -> dict[str, str]:
        return columns(self.database, table)

    def tables(self) -> list[str]:
        return [name for (name,) in sql(self.database, "SELECT table_name FROM duckdb_tables()")]
