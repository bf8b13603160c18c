"""The bigquery_streaming destination claims the rules of typed tables, against the emulator."""

from typing import TYPE_CHECKING

import pytest
from tables_in_warehouse import TablesInWarehouse

from bizon.connectors.destinations.bigquery_streaming.src.config import BigQueryStreamingConfig

if TYPE_CHECKING:
    from bigquery import Warehouse

pytestmark = pytest.mark.matrix(share=40, pool="tables in BigQuery")


class TestInserts(TablesInWarehouse):
    stages = False
    exactly_once = False
    has_views = False  # a full refresh appends

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryStreamingConfig:
        self.warehouse = warehouse
        keys = {**warehouse.keys, "destination_id": "items", "unnest": True, "bq_max_rows_per_request": 1000}
        return BigQueryStreamingConfig(name="bigquery_streaming", config=keys)
