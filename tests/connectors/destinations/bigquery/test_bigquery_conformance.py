"""The bigquery destination claims the behaviours of every destination, against the emulators."""

from typing import TYPE_CHECKING

import pytest
from destinations import InWarehouse

from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bigquery import Warehouse


@pytest.mark.matrix(share=32, pool="BigQuery as a destination")
class TestBigQuery(InWarehouse):
    takes_parts = True

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        self.warehouse = warehouse
        keys = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items"}
        return BigQueryConfig(name="bigquery", config=keys)


class TestBigQueryInBackground(TestBigQuery):
    """Objects are loaded while the run continues; not in sync mode stream."""

    modes = (SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL)

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        self.warehouse = warehouse
        keys = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items"}
        background = {"async_load": True, "load_files_per_job": 2, "load_max_in_flight_jobs": 1}
        return BigQueryConfig(name="bigquery", config={**keys, **background})
