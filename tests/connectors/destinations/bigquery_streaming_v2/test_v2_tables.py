"""The bigquery_streaming_v2 destination claims the rules of typed tables, against the emulator."""

from typing import TYPE_CHECKING

import pytest
from tables_in_warehouse import TablesInWarehouse

from bizon.connectors.destinations.bigquery_streaming_v2.src.config import BigQueryStreamingV2Config

if TYPE_CHECKING:
    from bigquery import Warehouse

pytestmark = pytest.mark.matrix(share=40, pool="tables in BigQuery")


class TestStorageWrite(TablesInWarehouse):
    takes_parts = True

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryStreamingV2Config:
        self.warehouse = warehouse
        keys = {**warehouse.keys, "destination_id": "items", "unnest": True, "request_size": 3}
        return BigQueryStreamingV2Config(name="bigquery_streaming_v2", config=keys)
