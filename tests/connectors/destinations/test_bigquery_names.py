"""BigQuery ignores the case of column names: so does bizon in records, in the configuration and in the table."""

from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_unnest as loads
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from connectors.destinations.test_bigquery_changed_tables import Configure
from destinations import open_destination, publish, rows_of, write
from google.cloud.bigquery import SchemaField, Table

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.declared_columns import unnester
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

EVERY = pytest.mark.parametrize(
    "config_of", [loads.config_of, streaming.config_of, v2.config_of], ids=["bigquery", "streaming", "v2"]
)
MODES = pytest.mark.parametrize("mode", ["full_refresh", "incremental", "stream"])
PLAIN: list[dict[str, Any]] = [
    {"name": "id", "type": "INTEGER"},
    {"name": "email", "type": "STRING"},
    {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]},
]
AS_LINES = [*PLAIN, {"name": "raw", "type": "JSON"}]
"""A column that Parquet cannot carry."""
SIX = ["_Source_Record_ID", "_SOURCE_timestamp", "_source_DATA", "_bizon_Extracted_at", "_BIZON_loaded_at", "_bizon_ID"]


def load(config: Any, mode: str, records: list[dict[str, Any]]) -> None:
    with open_destination(config, mode) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True))
        publish(destination, write(destination, rows_of(records)))


def make(warehouse: "Warehouse", fields: list[SchemaField]) -> None:
    warehouse.client.create_table(Table(f"{warehouse.project}.{warehouse.dataset}.items", schema=fields))


@EVERY
@MODES
def test_a_table_in_another_case(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    load_into_another_case(warehouse, config_of(warehouse, PLAIN), mode)


@MODES
def test_a_table_in_another_case_by_lines_of_json(warehouse: "Warehouse", mode: str) -> None:
    load_into_another_case(warehouse, loads.config_of(warehouse, AS_LINES), mode)


def load_into_another_case(warehouse: "Warehouse", config: Any, mode: str) -> None:
    place = SchemaField("Place", "RECORD", fields=[SchemaField("CITY", "STRING")])
    make(warehouse, [SchemaField("ID", "INTEGER"), SchemaField("Email", "STRING"), place])
    load(config, mode, [{"id": 1, "email": "a@b", "place": {"city": "Lyon"}}])
    (row,) = warehouse.rows("items")
    assert {name: row[name] for name in ("ID", "Email", "Place")} == {
        "ID": 1,
        "Email": "a@b",
        "Place": {"CITY": "Lyon"},
    }
    assert [field.name for field in warehouse.table("items").schema][:3] == ["ID", "Email", "Place"]


@EVERY
@MODES
def test_records_in_another_case(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    load(config_of(warehouse, PLAIN), mode, [{"ID": 1, "eMail": "a@b", "PLACE": {"City": "Lyon"}}])
    assert warehouse.rows("items") == [{"id": 1, "email": "a@b", "place": {"city": "Lyon"}}]


@EVERY
@MODES
def test_the_six_columns_in_another_case(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    config = config_of(warehouse)  # type: ignore[call-arg]  # without columns
    kind = "STRING" if config.name.value == "bigquery" else "JSON"
    types = ["STRING", "TIMESTAMP", kind, "TIMESTAMP", "TIMESTAMP", "STRING"]
    make(warehouse, [SchemaField(name, type_) for name, type_ in zip(SIX, types, strict=True)])
    load(config, mode, [{"n": 1}])
    (row,) = warehouse.rows("items")
    assert list(row) == SIX
    assert (row["_Source_Record_ID"], row["_bizon_ID"]) == ("0", "b0")
    assert str(row["_source_DATA"]).replace(" ", "").replace("'", '"') == '{"n":1}'


@EVERY
def test_partitions_and_clusters_in_another_case(warehouse: "Warehouse", config_of: Configure) -> None:
    schema = {
        "destination_id": "items",
        "record_schema": [{"name": "At", "type": "TIMESTAMP"}, {"name": "Id", "type": "INTEGER"}],
        "clustering_keys": ["id"],
    }
    keys = {"unnest": True, "record_schemas": [schema], "time_partitioning": {"type": "DAY", "field": "AT"}}
    load(config_of(warehouse, None, enforce_partitioning=True, **keys), "stream", [{"id": 1}])  # type: ignore[call-arg]
    assert warehouse.table("items").time_partitioning.field == "At"


def unnested(record: dict[str, Any]) -> dict[str, Any]:
    schema = BigQueryRecordSchemaConfig(destination_id="items", record_schema=PLAIN)
    return unnester(schema).rows(rows_of([record]))[0]


def test_a_key_that_matches_a_column_exactly_takes_precedence() -> None:
    assert unnested({"EMAIL": "no", "email": "yes", "Email": "no"})["email"] == "yes"


@pytest.mark.parametrize(
    ("record", "column"), [({"ID": 1, "Id": 2}, "id"), ({"place": {"CITY": "a", "City": "b"}}, "place.city")]
)
def test_two_keys_that_are_the_same_column_are_refused(record: dict[str, Any], column: str) -> None:
    with pytest.raises(RowsRejectedError, match=f"record '0' of 'items': column '{column}' is in the record twice"):
        unnested(record)
