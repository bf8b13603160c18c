"""The bigquery destination claims the behaviours of every destination, against the emulators."""

from typing import TYPE_CHECKING, Any

import pytest

from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.testing.destination import DestinationConformance

if TYPE_CHECKING:
    from bigquery import Warehouse


class TestBigQuery(DestinationConformance):
    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        self._warehouse = warehouse
        keys = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items"}
        return BigQueryConfig(name="bigquery", config=keys)

    def read(self, config: Any, destination_id: str | None) -> list[dict[str, Any]]:
        return self._warehouse.records((destination_id or config.config.destination_id).rpartition(".")[2])


class TestBigQueryAside(TestBigQuery):
    """Objects are loaded while the run goes on."""

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        self._warehouse = warehouse
        keys = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items"}
        aside = {"async_load": True, "load_files_per_job": 2, "load_max_in_flight_jobs": 1}
        return BigQueryConfig(name="bigquery", config={**keys, **aside})
