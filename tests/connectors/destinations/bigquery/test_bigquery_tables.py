"""The bigquery destination claims the rules of typed tables, against the emulators."""

from typing import TYPE_CHECKING

import pytest
from tables_in_warehouse import TablesInWarehouse

from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig

if TYPE_CHECKING:
    from bigquery import Warehouse

pytestmark = pytest.mark.matrix(share=40, pool="tables in BigQuery")


class TestBigQuery(TablesInWarehouse):
    takes_parts = True

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        self.warehouse = warehouse
        keys = {**warehouse.keys, "destination_id": "items", "unnest": True, "gcs_buffer_bucket": warehouse.bucket}
        return BigQueryConfig(name="bigquery", config=keys)
