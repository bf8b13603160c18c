"""DuckDB tables by the real command."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.destinations.duckdb import test_duckdb_rules as rules
from connectors.destinations.duckdb.kit import sql
from connectors.destinations.duckdb.test_duckdb_show import held_open
from e2e.tables.look_cases import ClosedCases
from e2e.tables.merge_cases import MergeCases
from e2e.tables.table_cases import OUTCOMES_OF_VERIFY, FlattenCases, ReaderCases, RescueCases, VerifyCases
from e2e.tables.table_kit import Table


class DuckdbTable(Table):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "duckdb", rules.TestDuckdb(), database="w.duckdb")
        self.database = folder / "w.duckdb"

    def look(self, column: str) -> list[tuple[Any, ...]]:
        """No process can open the file while another one writes it."""
        query = f"SELECT _source_record_id, {column} FROM items ORDER BY 1"
        with suppress(duckdb.IOException), duckdb.connect(str(self.database), read_only=True) as connection:
            return [tuple(connection.execute(query).fetchall())]
        return []

    def leftovers(self) -> list[str]:
        tables = sql(self.database, "SELECT table_name FROM duckdb_tables()")
        return [name for (name,) in tables if name not in ("items", "_bizon_outputs")]


@pytest.mark.matrix(share=40, pool="tables by the command")
class TestDuckdb(FlattenCases, ReaderCases, RescueCases, VerifyCases, MergeCases, ClosedCases):
    outcomes = OUTCOMES_OF_VERIFY

    @pytest.fixture
    def table(self, tmp_path: Path) -> DuckdbTable:
        return DuckdbTable(tmp_path)

    @contextmanager
    def forbidden(self, table: Any) -> Iterator[str]:
        with table.unreadable(table.database):
            yield "Permission denied"

    @contextmanager
    def unreachable(self, table: Any) -> Iterator[str]:
        """Another process writes it."""
        table.destination(lock_timeout=0)
        with held_open(table.database) as process:
            yield f"PID {process.pid}"
