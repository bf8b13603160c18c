"""Somebody changes or deletes a BigQuery table during a run: nothing is lost silently, and the next run resumes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_unnest as loads
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from destinations import open_destination, publish, resumed, rows_of, write

from bizon.common.errors.errors import DestinationError, FinalizeError
from bizon.connectors.destinations.bigquery_streaming_v2.src import appends
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

COLUMNS = [{"name": "id", "type": "INTEGER"}, {"name": "text", "type": "STRING"}]
Configure = Callable[["Warehouse", list[dict[str, Any]]], Any]
STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
STREAMED = pytest.mark.parametrize("config_of", [streaming.config_of, v2.config_of], ids=["streaming", "v2"])
"""The emulator accepts a load into a table that lacks a column, where BigQuery fails the job; see
``test_bigquery_faults.py``."""


def record(number: int) -> dict[str, Any]:
    return {"id": number, "text": f"text {number}"}


def load(config: Any, number: int, mode: str = "incremental") -> None:
    with open_destination(config, mode) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True))
        publish(destination, write(destination, rows_of([record(number)], first=number)))


def ids(warehouse: "Warehouse") -> list[int]:
    return sorted(int(row["id"]) for row in warehouse.rows("items"))


def alter(warehouse: "Warehouse", change: str) -> None:
    warehouse.ask(f"ALTER TABLE `{warehouse.project}.{warehouse.dataset}.items` {change}")


@STAGED
@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_column_that_is_added_before_publishing(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    config = config_of(warehouse, COLUMNS)
    load(config, 1)
    with open_destination(config, mode) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True))
        two = write(destination, rows_of([record(2)], first=2))
        alter(warehouse, "ADD COLUMN more STRING")
        publish(destination, two)
    assert ids(warehouse) == ([2] if mode == "full_refresh" else [1, 2])


@STAGED
@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_column_that_is_added_between_two_starts(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    config = config_of(warehouse, COLUMNS)
    load(config, 1)
    with open_destination(config, mode) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job, has_history=True))
        two = write(destination, rows_of([record(2)], first=2))
    alter(warehouse, "ADD COLUMN more STRING")
    with open_destination(config, mode, job) as destination:
        destination.prepare(resumed(job, two))
        destination.batch = type(destination.batch)(1, 1)
        publish(destination, two, write(destination, rows_of([record(3)], first=3)))
    assert ids(warehouse) == ([2, 3] if mode == "full_refresh" else [1, 2, 3])


@STAGED
def test_a_column_whose_type_is_another_one_when_it_is_published(warehouse: "Warehouse", config_of: Configure) -> None:
    """The table stays unchanged, and the rows wait."""
    config = config_of(warehouse, COLUMNS)
    load(config, 1)
    with open_destination(config, "incremental") as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job, has_history=True))
        two = write(destination, rows_of([record(2)], first=2))
        warehouse.client.delete_table(f"{warehouse.dataset}.items")
        warehouse.ask(f"CREATE TABLE `{warehouse.project}.{warehouse.dataset}.items` (id INT64, text INT64)")
        with pytest.raises(FinalizeError, match=r"column 'text' of table .* is INTEGER.*run again to publish"):
            publish(destination, two)
    assert warehouse.rows("items") == []
    warehouse.client.delete_table(f"{warehouse.dataset}.items")
    with open_destination(config, "incremental", job) as destination:
        destination.prepare(resumed(job, two, exhausted=True))
        publish(destination, two)
    assert ids(warehouse) == [2]


@STREAMED
def test_a_column_that_is_dropped_under_a_stream(warehouse: "Warehouse", config_of: Configure) -> None:
    """The rows are refused, not written without it; the next start adds the column."""
    config = config_of(warehouse, COLUMNS)
    load(config, 1, mode="stream")
    with open_destination(config, "stream") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        destination.write_records(rows_of([record(2)], first=2))
        alter(warehouse, "DROP COLUMN text")
        with pytest.raises(DestinationError):
            destination.write_records(rows_of([record(3)], first=3))
    load(config, 3, mode="stream")
    assert ids(warehouse) == [1, 2, 3]
    assert [row["text"] for row in warehouse.rows("items") if int(row["id"]) == 3] == ["text 3"]


def test_staging_that_is_deleted_under_the_run(warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch) -> None:
    """For ``bigquery``, whose objects outlive the table, see ``test_bigquery_faults.py``."""
    for bound in ("_FIRST_WAIT", "_LONGEST_WAIT"):
        monkeypatch.setattr(appends, bound, 0.01)
    config = v2.config_of(warehouse, COLUMNS)
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job))
        one = write(destination, rows_of([record(1)]))
        warehouse.client.delete_table(f"{warehouse.dataset}.items_temp")
        destination.batch = type(destination.batch)(1, 1)
        with pytest.raises(DestinationError, match="items_temp"):
            destination.write_records(rows_of([record(2)], first=2))
    with (
        open_destination(config, job_id=job) as destination,
        pytest.raises(DestinationError, match=r"pages 0-0 \(1 rows\): '.*items_temp' holds 0 of them.*--fresh"),
    ):
        destination.prepare(resumed(job, one))
    assert warehouse.rows("items_temp") == []


@STAGED
def test_a_table_deleted_before_publishing_is_created_again(warehouse: "Warehouse", config_of: Configure) -> None:
    config = config_of(warehouse, COLUMNS)
    load(config, 1)
    with open_destination(config, "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True))
        two = write(destination, rows_of([record(2)], first=2))
        warehouse.client.delete_table(f"{warehouse.dataset}.items")
        publish(destination, two)
    assert ids(warehouse) == [2]
