"""``write_mode: merge`` into a DuckDB file."""

from pathlib import Path
from typing import Any

import pytest
from connectors.destinations.duckdb.kit import DuckdbTarget, sql
from connectors.destinations.duckdb.kit import load as load_with
from connectors.destinations.table_cases import MergeCases
from connectors.destinations.table_kit import INCREMENTAL, page

from bizon.source.config import SourceSyncModes


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "items.duckdb"


def load(database: Path, mode: SourceSyncModes, *pages: list[Any], **settings: Any) -> None:
    load_with(database, mode, *pages, write_mode="merge", **settings)


class TestMerge(MergeCases):
    @pytest.fixture
    def target(self, database: Path) -> DuckdbTarget:
        return DuckdbTarget(database)


def test_a_row_that_is_replaced_keeps_the_columns_of_others(database: Path) -> None:
    load(database, INCREMENTAL, page({"id": 1, "t": "a"}))
    sql(database, "ALTER TABLE items ADD COLUMN theirs INTEGER")
    sql(database, "UPDATE items SET theirs = 7")
    load(database, INCREMENTAL, page({"id": 1, "t": "b"}))
    assert sql(database, "SELECT t, theirs FROM items") == [("b", 7)]
