"""The ``postgres`` destination claims the behaviours of every destination, here with the six columns."""

from typing import Any

import psycopg
import pytest
from connectors.destinations.postgres.conftest import block, rows_of
from postgres import Place

from bizon.destination.config import AbstractDestinationConfig
from bizon.testing.destination import DestinationConformance


class TestPostgres(DestinationConformance):
    exactly_once_in_stream = True
    client = ("psycopg", "bizon.connectors.destinations.postgres.src.connection")

    def target_error(self) -> Exception:
        return psycopg.OperationalError("the connection is lost")

    @pytest.fixture
    def config(self, place: Place) -> AbstractDestinationConfig:
        """The ``destination`` block, with a new place for each test."""
        self.at = place
        return block(place, unnest=False)

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> list[dict[str, Any]]:
        """The rows of a published table."""
        return rows_of(self.at, destination_id or "items")
