"""The ``postgres`` destination claims the behaviours of every destination, with six columns and with typed ones."""

import json
from typing import Any

import matrices
import psycopg
import pytest
from connectors.destinations.postgres.kit import SYSTEM, block, rows_of, tables
from postgres import PrivateServer

from bizon.destination.config import AbstractDestinationConfig
from bizon.testing.destination import DestinationConformance

pytestmark = pytest.mark.matrix(share=16, pool="databases as destinations")


class TestSixColumns(DestinationConformance):
    exactly_once_in_stream = takes_parts = shows_presence = True
    client = ("psycopg", "bizon.connectors.destinations.postgres.src.connection")
    most_interruptions = matrices.interruptions()
    unnest = False

    def target_error(self) -> Exception:
        return psycopg.OperationalError("the connection is lost")

    @pytest.fixture
    def config(self, private_postgres: PrivateServer) -> AbstractDestinationConfig:
        """The ``destination`` block, with a new place for each test, on a server that does not wait for its disk."""
        self.at = private_postgres.place
        return block(self.at, unnest=self.unnest)

    def leftovers(self, config: AbstractDestinationConfig) -> list[str]:
        """Staging tables, and claims to parts."""
        claims = [name for (name,) in self.at.rows("SELECT output FROM _bizon_outputs") if name != "items"]
        return [*claims, *(name for name in tables(self.at) if name.startswith("items_"))]

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> list[dict[str, Any]]:
        """The rows of a published table."""
        return rows_of(self.at, destination_id or "items")


class TestTypedColumns(TestSixColumns):
    unnest = True
    test_every_value_arrives_as_it_was = None  # a null and a missing key are the same in columns

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> list[dict[str, Any]]:
        return [as_six(row) for row in super().read(config, destination_id)]


def as_six(row: dict[str, Any]) -> dict[str, Any]:
    """A typed row with its record reassembled."""
    known = {key: value for key, value in row.items() if key not in {*SYSTEM, "_bizon_rescued"} and value is not None}
    record = {**known, **json.loads(row["_bizon_rescued"] or "{}")}
    return {**{SYSTEM[name]: row[name] for name in SYSTEM}, "source_data": json.dumps(record)}
