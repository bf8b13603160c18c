"""The ``duckdb`` destination claims the behaviours of every destination, with six columns and with typed ones."""

import json
from pathlib import Path
from typing import Any

import duckdb
import matrices
import polars as pl
import pytest

from bizon.connectors.destinations.duckdb.src.config import DuckdbConfig
from bizon.testing.destination import DestinationConformance

pytestmark = pytest.mark.matrix(share=16, pool="databases as destinations")

SIX = {"bizon_id", "bizon_extracted_at", "bizon_loaded_at", "source_record_id", "source_timestamp", "source_data"}
SYSTEM = {
    "_bizon_id": "bizon_id",
    "_bizon_extracted_at": "bizon_extracted_at",
    "_bizon_loaded_at": "bizon_loaded_at",
    "_source_record_id": "source_record_id",
    "_source_timestamp": "source_timestamp",
}


class TestSixColumns(DestinationConformance):
    exactly_once_in_stream = shows_presence = True
    client = ("bizon.connectors.destinations.duckdb.src.connection",)
    most_interruptions = matrices.interruptions()
    unnest = False

    def target_error(self) -> Exception:
        return duckdb.IOException("IO Error: Could not read enough bytes from file")

    @pytest.fixture
    def config(self, tmp_path: Path) -> DuckdbConfig:
        settings = {"database": str(tmp_path / "items.duckdb"), "destination_id": "items", "unnest": self.unnest}
        return DuckdbConfig(name="duckdb", config=settings)

    def read(self, config: DuckdbConfig, destination_id: str | None) -> list[dict[str, Any]]:
        return found(config.config.database, destination_id or "items")


class TestTypedColumns(TestSixColumns):
    unnest = True
    test_every_value_arrives_as_it_was = None  # a null and a missing key are the same in columns: test_duckdb_rules.py

    def read(self, config: DuckdbConfig, destination_id: str | None) -> list[dict[str, Any]]:
        return [as_six(row) for row in super().read(config, destination_id)]


def found(database: str, table: str) -> list[dict[str, Any]]:
    if not Path(database).exists():
        return []
    with duckdb.connect(database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall():
            return []
        return pl.DataFrame(connection.sql(f"SELECT * FROM {table}")).rows(named=True)


def as_six(row: dict[str, Any]) -> dict[str, Any]:
    """A typed row with its record reassembled."""
    known = {key: value for key, value in row.items() if key not in {*SYSTEM, "_bizon_rescued"} and value is not None}
    record = {**known, **json.loads(row["_bizon_rescued"] or "{}")}
    return {**{SYSTEM[name]: row[name] for name in SYSTEM}, "source_data": json.dumps(record)}
