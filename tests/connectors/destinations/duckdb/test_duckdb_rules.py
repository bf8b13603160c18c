"""DuckDB claims the rules of typed tables."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import matrices
import pytest
from connectors.destinations.duckdb.kit import block, sql

from bizon.connectors.destinations.duckdb.src.config import DuckdbConfig
from bizon.testing.tables import TableConformance

pytestmark = pytest.mark.matrix(share=28, pool="rules of tables")

_KINDS = {"BOOLEAN": "boolean", "BIGINT": "int64", "DOUBLE": "float64", "DATE": "date", "VARCHAR": "text"}
_KINDS |= {"JSON": "json", "TIMESTAMP WITH TIME ZONE": "timestamp"}


class TestDuckdb(TableConformance):
    merges = True
    alters = True
    has_views = True
    damages = True
    client = ("bizon.connectors.destinations.duckdb.src.connection",)
    most_interruptions = matrices.interruptions()

    @pytest.fixture
    def config(self, tmp_path: Path) -> DuckdbConfig:
        return block(tmp_path / "tables.duckdb", unnest=True)

    def rows(self, config: Any) -> list[dict[str, Any]]:
        return select(config, f"SELECT {listed(self.types(config))} FROM items") if self.types(config) else []

    def types(self, config: Any) -> Mapping[str, str]:
        if not Path(config.config.database).exists():
            return {}
        query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'items' ORDER BY column_index"
        return {name: kind_of(kind) for name, kind in sql(Path(config.config.database), query)}

    def damage(self, config: Any, how: str) -> None:
        found = sql(Path(config.config.database), "SELECT table_name FROM duckdb_tables() WHERE table_name != 'items'")
        (staging,) = [name for (name,) in found if "_bizon_page" in names_of(config, name)]
        where = "_source_record_id = 'r0'"
        change = f'DELETE FROM "{staging}"' if how == "removed" else f"UPDATE \"{staging}\" SET c = '[]'"
        sql(Path(config.config.database), f"{change} WHERE {where}")

    def alter(self, config: Any, how: str, column: str) -> None:
        change = f'DROP COLUMN "{column}"' if how == "dropped" else f'ALTER COLUMN "{column}" TYPE VARCHAR'
        sql(Path(config.config.database), f"ALTER TABLE items {change}")

    def view(self, config: Any) -> Callable[[], Sequence[str]]:
        database = Path(config.config.database)
        sql(database, "CREATE VIEW seen AS SELECT _source_record_id FROM items")
        return lambda: [str(id_) for (id_,) in sql(database, "SELECT * FROM seen")]


def names_of(config: Any, table: str) -> list[str]:
    query = f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'"
    return [name for (name,) in sql(Path(config.config.database), query)]


def kind_of(name: str) -> str:
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", name)
    return f"decimal({found[1]}, {found[2]})" if found else _KINDS[name]


def listed(types: Mapping[str, str]) -> str:
    """The columns; moments and days as text, because Python has neither all of them nor a zone without a library."""
    shown = []
    for name, kind in types.items():
        quoted = '"' + name.replace('"', '""') + '"'
        if kind == "timestamp":
            quoted = f"strftime({quoted} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f') || '+00:00' AS {quoted}"
        shown.append(quoted)
    return ", ".join(shown)


def select(config: Any, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(config.config.database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(query)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
