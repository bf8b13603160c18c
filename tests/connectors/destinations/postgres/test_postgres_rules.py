"""Postgres claims the rules of typed tables."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import matrices
import psycopg
import pytest
from connectors.destinations.postgres.kit import block, rows_of, tables
from poolers import POOLED, POOLERS
from postgres import PrivateServer

from bizon.connectors.destinations.postgres.src.config import PostgresConfig
from bizon.destination.column_names import NameRules
from bizon.testing.tables import TableConformance

pytestmark = pytest.mark.matrix(share=28, pool="rules of tables")

_KINDS = {"boolean": "boolean", "bigint": "int64", "double precision": "float64", "date": "date", "text": "text"}
_KINDS |= {"json": "json", "timestamp with time zone": "timestamp"}
_TYPES = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = to_regclass('items') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


class TestPostgres(TableConformance):
    merges = takes_parts = True
    alters = True
    has_views = True
    damages = True
    client = ("psycopg", "bizon.connectors.destinations.postgres.src.connection")
    most_interruptions = matrices.interruptions()
    names = NameRules(63, "bytes")

    @pytest.fixture
    def config(self, private_postgres: PrivateServer) -> PostgresConfig:
        self.at = private_postgres.place
        return block(self.at)

    def rows(self, config: Any) -> list[dict[str, Any]]:
        return rows_of(self.at)

    def types(self, config: Any) -> Mapping[str, str]:
        return {name: kind_of(kind) for name, kind in self.at.rows(_TYPES)}

    def damage(self, config: Any, how: str) -> None:
        for staging in [name for name in tables(self.at) if name.startswith("items_")]:
            change = f"DELETE FROM {staging}" if how == "removed" else f"UPDATE {staging} SET c = '[]'"
            self.at.rows(f"{change} WHERE _source_record_id = 'r0'")

    def alter(self, config: Any, how: str, column: str) -> None:
        quoted = psycopg.sql.Identifier(column).as_string()
        self.at.rows(f"ALTER TABLE items {'DROP' if how == 'dropped' else 'ALTER'} COLUMN {quoted}" + TO_TEXT[how])

    def view(self, config: Any) -> Callable[[], Sequence[str]]:
        self.at.rows("CREATE VIEW seen AS SELECT _source_record_id FROM items")
        return lambda: [str(id_) for (id_,) in self.at.rows("SELECT * FROM seen")]


@pytest.mark.timeout(600)  # twenty kills take minutes on a busy machine
class TestPooled(TestPostgres):
    """The same by way of a pooler."""

    @pytest.fixture(params=POOLERS)
    def config(self, private_postgres: PrivateServer, request: pytest.FixtureRequest) -> Iterator[PostgresConfig]:
        self.at = private_postgres.place
        with POOLED[request.param](self.at) as through:
            yield block(through)


TO_TEXT = {"dropped": "", "text": " TYPE text"}


def kind_of(name: str) -> str:
    found = re.fullmatch(r"numeric\((\d+),(\d+)\)", name)
    return f"decimal({found[1]}, {found[2]})" if found else _KINDS[name]
