"""Inferred columns of the BigQuery destinations: they claim the rules of typed tables, against the emulator.

The emulator keeps a BIGNUMERIC in 38 digits, 18 of them behind the point: values that need more are in unit tests
(``test_bigquery_inferred_values.py``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.connectors.destinations.bigquery.src.inferred_tables import NAMES
from bizon.connectors.destinations.bigquery.src.inferred_types import DECIMALS, kind_of
from bizon.connectors.destinations.bigquery_streaming_v2.src.config import BigQueryStreamingV2Config
from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL
from bizon.testing.tables import TableConformance

if TYPE_CHECKING:
    from bigquery import Warehouse

pytestmark = pytest.mark.matrix(share=6)

_SMALL = "the emulator keeps 38 digits of a BIGNUMERIC, 18 behind the point"


class InWarehouse(TableConformance):
    modes = (FULL_REFRESH, INCREMENTAL)
    names = NAMES
    keeps_json = False
    keeps_numbers = False
    decimals = tuple(map(str, DECIMALS))
    not_here: ClassVar[Mapping[str, str]] = {"an integer of 30 digits": _SMALL, "a decimal of 30 digits": _SMALL}
    warehouse: ClassVar["Warehouse"]

    def build(self, *arguments: Any) -> Any:
        """The suite declares columns as most destinations do."""
        metadata, config, *others = arguments
        schemas = [
            BigQueryRecordSchemaConfig.model_validate(schema.model_dump()) for schema in config.record_schemas or ()
        ]
        return super().build(metadata, config.model_copy(update={"record_schemas": schemas or None}), *others)

    def rows(self, config: Any) -> Sequence[dict[str, Any]]:
        """JSON as its text."""
        fields = self.fields()
        if not fields:
            return []
        read = [SchemaField(each.name, "STRING") if each.field_type == "JSON" else each for each in fields]
        found = self.warehouse.client.list_rows(self.warehouse.table("items"), selected_fields=read)
        return [{name: aware(value) for name, value in row.items()} for row in found]

    def types(self, config: Any) -> Mapping[str, str]:
        return {field.name: str(kind_of(field)) for field in self.fields()}

    def fields(self) -> Sequence[SchemaField]:
        return self.warehouse.table("items").schema if "items" in self.warehouse.tables() else ()


def aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


class TestBigQuery(InWarehouse):
    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryConfig:
        type(self).warehouse = warehouse
        keys = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items", "unnest": True}
        return BigQueryConfig(name="bigquery", config=keys)


class TestStorageWrite(InWarehouse):
    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> BigQueryStreamingV2Config:
        type(self).warehouse = warehouse
        keys = {**warehouse.keys, "destination_id": "items", "unnest": True, "request_size": 3}
        return BigQueryStreamingV2Config(name="bigquery_streaming_v2", config=keys)
