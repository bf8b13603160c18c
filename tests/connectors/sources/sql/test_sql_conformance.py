"""The sql source keeps the contract of sources: in a SQLite file, in DuckDB, in PostgreSQL and in MariaDB."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest
from connectors.sources.sql.sql_kit import created, postgres_url, settle, sqlite_file
from mariadb import MariaDb
from postgres import Place

from bizon.connectors.sources.sql.src.source import SqlSource
from bizon.testing.source import SourceConformance

pytestmark = pytest.mark.matrix(share=6)

TABLE = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(100), updated_at {kind})"
EMPTY = "CREATE TABLE empty_items (id INTEGER PRIMARY KEY)"
ROWS = [(number, f"name {number}", f"2024-05-{number // 2 + 1:02d} 10:00:00") for number in range(1, 12)]
CHANGED = ("3", "7")


class SqlSuite(SourceConformance):
    source_class = SqlSource
    not_applicable: ClassVar = {}

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "stream": "empty_items", "sync_mode": "full_refresh", "cursor_field": None}

    def block(self, url: str) -> dict[str, Any]:
        return {"name": "sql", "stream": "items", "url": url, "page_size": 3, "cursor_field": "updated_at"}


class TestSqlite(SqlSuite):
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, Any]:
        insert = "INSERT INTO items VALUES (?, ?, ?)"
        url = sqlite_file(tmp_path / "shop.db", TABLE.format(kind="TEXT"), EMPTY, rows=ROWS, insert=insert)
        return self.block(url)

    test_wrong_credentials_say_so_in_one_line = None  # a file has none


class TestSqliteThatChanges(TestSqlite):
    """Incremental runs that continue from the state of the last one."""

    def block(self, url: str) -> dict[str, Any]:
        return {**super().block(url), "sync_mode": "incremental"}

    def change(self, config: dict[str, Any]) -> Collection[str]:
        path = Path(config["url"].removeprefix("sqlite:///"))
        sqlite_file(path, f"UPDATE items SET updated_at = CURRENT_TIMESTAMP WHERE id IN ({', '.join(CHANGED)})")
        settle()
        return CHANGED

    not_applicable: ClassVar = {
        "equal_timestamps_at_the_edge_of_a_window_are_not_lost": "continues from its next_state",
    }


class TestDuckDb(SqlSuite):
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, Any]:
        path = tmp_path / "shop.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(TABLE.format(kind="TIMESTAMP"))
            connection.execute(EMPTY)
            connection.executemany("INSERT INTO items VALUES (?, ?, ?)", ROWS)
        return self.block(f"duckdb:///{path}")

    test_wrong_credentials_say_so_in_one_line = None  # a file has none


class TestPostgres(SqlSuite):
    @pytest.fixture
    def config(self, postgres: Place) -> dict[str, Any]:
        created(postgres).rows(TABLE.format(kind="TIMESTAMPTZ"))
        postgres.rows(EMPTY)
        for row in ROWS:
            postgres.rows("INSERT INTO items VALUES (%s, %s, %s)", *row)
        self.place = postgres
        return self.block(postgres_url(postgres))

    def wrong_credentials(self, config: dict[str, Any]) -> dict[str, Any]:
        url = f"postgresql://nobody-at-all:a-wrong-password@{self.place.host}:{self.place.port}/{self.place.database}"
        return {**config, "url": url}


class TestPostgresThatChanges(TestPostgres):
    def block(self, url: str) -> dict[str, Any]:
        return {**super().block(url), "sync_mode": "incremental"}

    def change(self, config: dict[str, Any]) -> Collection[str]:
        self.place.rows(f"UPDATE items SET updated_at = now() WHERE id IN ({', '.join(CHANGED)})")
        settle()
        return CHANGED

    not_applicable = TestSqliteThatChanges.not_applicable


class TestMariaDb(SqlSuite):
    @pytest.fixture
    def config(self, mariadb: MariaDb) -> dict[str, Any]:
        mariadb.run(TABLE.format(kind="DATETIME"))
        mariadb.run(EMPTY)
        for row in ROWS:
            mariadb.run("INSERT INTO items VALUES (%s, %s, %s)", *row)
        self.server = mariadb
        return self.block(mariadb.url)

    def wrong_credentials(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "url": self.server.url_of("nobody", "a-wrong-password")}
