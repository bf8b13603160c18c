"""Tables of BigQuery whose columns follow the records: what their owner has set, staging that has lost or gained
something, tables that records name, and the commands that look at them."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from connectors.destinations.bigquery import test_bigquery_unnest as loads
from connectors.destinations.bigquery_streaming import test_streaming as inserts
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from connectors.destinations.test_bigquery_changed_tables import Configure
from destinations import open_destination, publish, resumed, rows_of, write
from google.api_core import exceptions
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationWriteError, FinalizeError, RowsRejectedError
from bizon.connectors.destinations.bigquery.src.background_loads import BackgroundLoads
from bizon.connectors.destinations.bigquery.src.object_staging import ObjectStaging
from bizon.connectors.destinations.bigquery.src.tables import Tables
from bizon.connectors.destinations.bigquery_streaming.src import destination as streaming
from bizon.destination.models import BatchRange, ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

pytestmark = pytest.mark.matrix(share=8, pool="growing tables in BigQuery")

STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
ALL = pytest.mark.parametrize(
    "config_of", [loads.config_of, v2.config_of, inserts.config_of], ids=["loads", "v2", "all"]
)
OWNED = [
    {"name": "Id", "type": "INTEGER", "mode": "REQUIRED", "description": "the number"},
    {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2", "roundingMode": "ROUND_HALF_EVEN"},
    {"name": "short", "type": "STRING", "maxLength": "3"},
    {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]},
]


def make(warehouse: "Warehouse", fields: list[dict[str, Any]]) -> None:
    """A table as its owner has set it up."""
    path = f"/projects/{warehouse.project}/datasets/{warehouse.dataset}/tables"
    reference = {"projectId": warehouse.project, "datasetId": warehouse.dataset, "tableId": "items"}
    body = {"tableReference": reference, "schema": {"fields": fields}, "description": "of the shop"}
    warehouse.client._connection.api_request(method="POST", path=path, data=body)


def load(config: Any, *pages: list[dict[str, Any]], mode: str = "incremental", first: int = 0) -> None:
    """A job with a batch for each page. ``first``: the id of its first record."""
    with open_destination(config, mode) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batches = []
        for number, page in enumerate(pages):
            destination.batch = BatchRange(number, number)
            batches.append(write(destination, rows_of(page, first + number * 10)))
        if mode != "stream":
            assert destination.landed(wait=True) == len(pages) - 1
            publish(destination, *batches)


def own(warehouse: "Warehouse", name: str = "items") -> list[dict[str, Any]]:
    """The rows without the columns of bizon, and without nulls."""
    rows = [{key: value for key, value in row.items() if value is not None} for row in warehouse.rows(name)]
    rows.sort(key=lambda row: row["_source_record_id"])
    return [{key: value for key, value in row.items() if not key.startswith(("_bizon_", "_source_"))} for row in rows]


@ALL
@pytest.mark.parametrize("mode", ["full_refresh", "stream"])
def test_the_settings_of_the_owner_of_a_table_stay(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    make(warehouse, OWNED)
    config = config_of(warehouse, unnest=True)
    records = [
        {"Id": 1, "price": 1.5, "short": "abc", "place": {"city": "Lyon"}, "new": [1]},
        {"Id": 2, "price": 12345678.25},
    ]
    load(config, records, [{"Id": 3, "price": 1.125}], mode=mode)
    table = warehouse.table("items")
    assert table.description == "of the shop"
    kept = {field.name: field for field in table.schema}
    assert (kept["Id"].mode, kept["Id"].description) == ("REQUIRED", "the number")
    assert kept["place"].fields == (SchemaField("city", "STRING"),)
    assert (kept["new"].field_type, kept["new"].mode) == ("JSON", "NULLABLE")
    rescued = [json.loads(row["_bizon_rescued"] or "null") for row in warehouse.rows("items")]
    assert {"short": "abc", "place": {"city": "Lyon"}} in [
        {key: value for key, value in (each or {}).items() if key in ("short", "place")} for each in rescued
    ]


@ALL
def test_a_record_without_a_required_value_is_refused_by_name(warehouse: "Warehouse", config_of: Configure) -> None:
    make(warehouse, [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}])
    with open_destination(config_of(warehouse, unnest=True), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with pytest.raises(RowsRejectedError) as refusal:
            destination.write_records(rows_of([{"id": 1}, {"id": "text"}, {}]))
    assert refusal.value.reasons == {
        at: f"record '{at}' has no value that fits column 'id', which is REQUIRED" for at in (1, 2)
    }


@ALL
def test_a_table_of_six_columns_gets_the_others(warehouse: "Warehouse", config_of: Configure) -> None:
    load(config_of(warehouse), [{"a": 1}])
    load(config_of(warehouse, unnest=True), [{"a": 2}], first=100)
    rows = warehouse.rows("items")
    assert sorted((row["_source_data"] is None, row["a"]) for row in rows) == [(False, None), (True, 2)]


def test_columns_are_added_once_loads_under_way_are_done(
    warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load job names the types of all columns; it fails when one of them changes."""
    grow, landed = ObjectStaging.grow, BackgroundLoads.landed
    calls: list[Any] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **how: Any) -> Any:
            calls.append((name, *how.values()))
            return real(*args, **how)

        return call

    monkeypatch.setattr(ObjectStaging, "grow", noting("grow", grow))
    monkeypatch.setattr(BackgroundLoads, "landed", noting("landed", landed))
    background = {"async_load": True, "load_files_per_job": 2, "load_max_in_flight_jobs": 2}
    pages = [[{"a": 1}], [{"a": 2}], [{"a": 3, "b": "x"}], [{"a": 2**64}], [{"a": 5}]]
    load(loads.config_of(warehouse, unnest=True, **background), *pages)
    assert own(warehouse) == [{"a": 1}, {"a": 2}, {"a": 3, "b": "x"}, {"a": Decimal(2**64)}, {"a": 5}]
    assert calls[:-1] == [("landed", True), ("grow",)] * 3


@pytest.mark.parametrize("lost", ["table", "rows"])
def test_staging_that_has_lost_something_is_made_again_from_the_objects(warehouse: "Warehouse", lost: str) -> None:
    config = loads.config_of(warehouse, unnest=True)
    staging, job = f"`{warehouse.project}.{warehouse.dataset}.items_incremental`", uuid4().hex
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(ResumePoint(job))
        first = write(destination, rows_of([{"a": 1}]))
        destination.batch = BatchRange(1, 1)
        second = write(destination, rows_of([{"a": 2**64, "b": {"c": "x"}}], 1))
    warehouse.ask(f"DROP TABLE {staging}" if lost == "table" else f"DELETE FROM {staging} WHERE a = 1")
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(resumed(job, first, second))
        destination.batch = BatchRange(2, 2)
        publish(destination, first, second, write(destination, rows_of([{"a": 3, "c": True}], 2)))
    found = [{**row, "b": json.loads(row["b"])} if isinstance(row.get("b"), str) else row for row in own(warehouse)]
    assert found == [{"a": 1}, {"a": 2**64, "b": {"c": "x"}}, {"a": 3, "c": True}]


@STAGED
def test_a_column_that_its_owner_has_changed_since_stops_the_publication(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    """BigQuery would round integers to floats."""
    load(config_of(warehouse, unnest=True), [{"a": 1}])
    table = f"`{warehouse.project}.{warehouse.dataset}.items`"
    with open_destination(config_of(warehouse, unnest=True), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of([{"a": 2}]))
        warehouse.ask(f"ALTER TABLE {table} ALTER COLUMN a SET DATA TYPE FLOAT64")
        with pytest.raises(
            FinalizeError, match="column 'a' of table 'items' is FLOAT, which does not take the INTEGER"
        ):
            publish(destination, batch)
    assert [row["a"] for row in warehouse.rows("items")] == [1.0]


@STAGED
def test_a_change_of_staging_that_fails_is_made_by_the_next_try(
    warehouse: "Warehouse", config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_destination(config_of(warehouse, unnest=True), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with monkeypatch.context() as patch:
            patch.setattr(Tables, "fit", raising(exceptions.ServiceUnavailable("busy")))
            with pytest.raises(DestinationWriteError) as failure:
                destination.write_records(rows_of([{"a": 1}]))
        assert failure.value.retryable
        publish(destination, write(destination, rows_of([{"a": 1}])))
    assert own(warehouse) == [{"a": 1}]


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_insert_all_waits_until_it_knows_a_wider_column(
    warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {
        "index": 0,
        "errors": [{"reason": "invalid", "location": "a", "message": "Cannot convert value to integer"}],
    }
    insert, answers = Tables.insert, [[late], [late]]
    monkeypatch.setattr(Tables, "insert", lambda *args: answers.pop() if answers else insert(*args))
    monkeypatch.setattr(streaming, "_PAUSE", 0.01)
    load(inserts.config_of(warehouse, unnest=True), [{"a": 1}], [{"a": 2**64}], mode="stream")
    assert own(warehouse) == [{"a": 1}, {"a": 2**64}]
    assert not answers


@STAGED
def test_a_column_that_a_dead_start_has_left_in_staging_is_not_published(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    config, job = config_of(warehouse, unnest=True), uuid4().hex
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(ResumePoint(job))
        first = write(destination, rows_of([{"a": 1}]))
        destination.batch = BatchRange(1, 1)
        write(destination, rows_of([{"torn": 1, "late": "text"}], 1))
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(resumed(job, first))
        destination.batch = BatchRange(1, 1)
        second = write(destination, rows_of([{"a": 2, "late": 5}], 1))
        publish(destination, first, second)
    assert "torn" not in {field.name for field in warehouse.table("items").schema}
    found = own(warehouse)
    assert found[0] == {"a": 1}
    assert found[1]["a"] == 2
    assert {**found[1], **json.loads(warehouse.rows("items")[1]["_bizon_rescued"] or "{}")}["late"] == 5


@ALL
def test_a_column_that_its_owner_drops_while_a_stream_runs_comes_back(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    with open_destination(config_of(warehouse, unnest=True), "stream") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        write(destination, rows_of([{"a": 1, "b": 1}]))
        warehouse.ask(f"ALTER TABLE `{warehouse.project}.{warehouse.dataset}.items` DROP COLUMN b")
        destination.batch = BatchRange(1, 1)
        write(destination, rows_of([{"a": 2, "b": "text"}], 1))
    assert own(warehouse) == [{"a": 1}, {"a": 2, "b": "text"}]


@STAGED
def test_a_column_that_its_owner_drops_before_publishing_comes_back(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    load(config_of(warehouse, unnest=True), [{"a": 1, "b": 1}])
    with open_destination(config_of(warehouse, unnest=True), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of([{"a": 2, "b": 2}], 1))
        warehouse.ask(f"ALTER TABLE `{warehouse.project}.{warehouse.dataset}.items` DROP COLUMN b")
        publish(destination, batch)
    assert own(warehouse) == [{"a": 1}, {"a": 2, "b": 2}]


@STAGED
def test_a_staging_column_that_a_superseded_start_has_widened_takes_the_rows(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    config, job = config_of(warehouse, unnest=True), uuid4().hex
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(ResumePoint(job))
        first = write(destination, rows_of([{"a": 1}]))
        destination.batch = BatchRange(1, 1)
        write(destination, rows_of([{"a": 2**64}], 1))
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(resumed(job, first))
        destination.batch = BatchRange(1, 1)
        publish(destination, first, write(destination, rows_of([{"a": 2}], 1)))
    assert own(warehouse) == [{"a": 1}, {"a": 2}]


@ALL
def test_a_record_may_name_its_table_in_stream(warehouse: "Warehouse", config_of: Configure) -> None:
    config = config_of(warehouse, unnest=True)
    with open_destination(config, "stream") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        for number, table in enumerate(["items", "others", "others"]):
            destination.batch, destination.destination_id = BatchRange(number, number), table
            write(destination, rows_of([{table: number, "k": "x" if number < 2 else 1}], number))
            assert destination.rescued() == (number == 2)
    assert own(warehouse) == [{"items": 0, "k": "x"}]
    assert own(warehouse, "others") == [{"others": 1, "k": "x"}, {"others": 2}]


@pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
def test_the_command_says_what_a_run_has_added(
    warehouse: "Warehouse",
    config_of: Configure,
    write_config: Callable[..., Path],
    run_cli: Callable[..., Any],
) -> None:
    block = config_of(warehouse, unnest=True, flatten=0)
    destination = {"name": block.name.value, "config": block.config.model_dump(mode="json", exclude_unset=True)}
    pipeline = {
        "name": "creatures",
        "source": {
            "name": "dummy",
            "stream": "creatures",
            "sync_mode": "full_refresh",
            "authentication": {"type": "api_key", "params": {"token": "x"}},
        },
        "destination": destination,
        "engine": {"backend": {"type": "sqlite", "config": {"database": "state"}}},
    }
    path = write_config(pipeline)
    done = run_cli("run", path)
    assert done.returncode == 0, done.stderr
    diff = json.loads(run_cli("schema", "diff", path, "--json").stdout)
    found = own(warehouse)
    assert found
    assert {column["name"] if isinstance(column, dict) else column for column in diff["added"]} == set().union(*found)
    shown = json.loads(run_cli("show", path, "--json").stdout)
    assert shown["rows"]
