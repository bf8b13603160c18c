"""Changes that BigQuery takes back because another command has changed the same table at the same instant. They are
made again; nothing is lost, and nothing is done twice.
"""

import json
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery.test_bigquery_faults import JOBS, ONCE, TWO, published, run
from destinations import open_destination, rows_of, write
from google.cloud.bigquery import SchemaField
from http_proxy import HttpProxy

from bizon.common.errors.errors import DestinationError, DestinationWriteError
from bizon.connectors.destinations.bigquery.src import bigquery_jobs
from bizon.connectors.destinations.bigquery.src.client import Clients
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.connectors.destinations.bigquery.src.tables import Tables, Target
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

TEXTS = [
    "Could not serialize access to table p:d.items_temp due to concurrent update",
    "Query error: Transaction is aborted due to concurrent update against table p:d.items_temp at [1:1]",
]
TABLES = "/tables"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_jobs, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(bigquery_jobs, "_LONGEST_WAIT", 0.01)


def refused(text: str, code: int = 400) -> str:
    """The answer to a request."""
    return json.dumps(
        {"error": {"code": code, "message": text, "errors": [{"reason": "invalidQuery", "message": text}]}}
    )


def job(text: str | None, state: str = "DONE") -> str:
    """A job as BigQuery shows it; ``text``: of the error that has ended it."""
    error = {"reason": "invalidQuery", "message": text, "location": "query"}
    return json.dumps(
        {
            "jobReference": {"projectId": "test-project", "jobId": "j", "location": "US"},
            "configuration": {"jobType": "QUERY", "query": {"query": "SELECT 1"}},
            "status": {"state": state} if text is None else {"state": state, "errorResult": error, "errors": [error]},
        }
    )


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("method", "where"), [("POST", TABLES), ("PATCH", TABLES), ("POST", JOBS)])
def test_a_request_that_met_another_change_is_sent_again(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, method: str, where: str, text: str
) -> None:
    bigquery_proxy.fail(method, where, 400, times=2, body=refused(text))
    run(config)
    assert published(warehouse) == ONCE
    assert not any(fault.times for fault in bigquery_proxy.faults)


def test_a_conflict_of_changes_differs_from_a_job_of_the_same_name(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    bigquery_proxy.fail("POST", JOBS, 409, body=refused(TEXTS[0], 409))
    run(config)
    assert published(warehouse) == ONCE


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("number", range(3))
def test_a_job_that_met_another_change_is_started_again(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, number: int, text: str
) -> None:
    """The load of the batch, the count of its rows, the script that publishes them."""
    with open_destination(config, "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        if number == 0:
            bigquery_proxy.fail("POST", JOBS, 200, times=2, body=job(text))
        batch = write(destination, rows_of(TWO))
        if number == 1:
            bigquery_proxy.fail("POST", JOBS, 200, times=2, body=job(text))
        destination.verify([batch])
        if number == 2:
            bigquery_proxy.fail("POST", JOBS, 200, times=2, body=job(text))
        assert destination.finalize()
    assert published(warehouse) == ONCE
    assert not any(fault.times for fault in bigquery_proxy.faults)


def test_a_script_whose_error_comes_with_its_result_is_started_again(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    """BigQuery answers the look at the result of a job that has failed with the error of the job."""
    with open_destination(config, "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of(TWO))
        destination.verify([batch])
        bigquery_proxy.fail("POST", JOBS, 200, body=job(None, "RUNNING"))
        bigquery_proxy.fail("GET", f"{JOBS}/", 200, body=job(None, "RUNNING"))
        bigquery_proxy.fail("GET", "/queries/", 400, body=refused(TEXTS[1]))
        bigquery_proxy.fail("GET", f"{JOBS}/", 200, body=job(TEXTS[1]))
        assert destination.finalize()
    assert published(warehouse) == ONCE
    assert not any(fault.times for fault in bigquery_proxy.faults)


def test_a_job_that_meets_others_each_time_ends_in_one_error(config: BigQueryConfig, bigquery_proxy: HttpProxy) -> None:
    with open_destination(config) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        bigquery_proxy.fail("POST", JOBS, 200, times=100, body=job(TEXTS[0]))
        with pytest.raises(DestinationWriteError, match=f"failed: {TEXTS[0]}, 8 times; run again to resume$"):
            destination.write_records(rows_of(TWO))


def test_a_table_that_is_not_there_has_no_count(warehouse: "Warehouse", config: BigQueryConfig) -> None:
    assert tables_of(config).count(f"{warehouse.project}.{warehouse.dataset}.missing") is None


def test_a_column_that_another_part_has_widened_further_is_left_as_it_is(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    name = f"{warehouse.project}.{warehouse.dataset}.items"
    tables = tables_of(config)
    before = tables.make(Target(name, [SchemaField("n", "INTEGER")], None, infers=True), None, {})
    warehouse.ask(f"ALTER TABLE `{name}` ALTER COLUMN n SET DATA TYPE BIGNUMERIC")
    bigquery_proxy.fail("POST", JOBS, 400, body=refused("n is BIGNUMERIC"))  # the emulator would make it narrower
    tables.fit(before, Target(name, [SchemaField("n", "NUMERIC")], None, infers=True))
    assert [field.field_type for field in warehouse.table("items").schema] == ["BIGNUMERIC"]


def test_a_table_that_others_keep_changing_ends_in_one_error(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bizon.connectors.destinations.bigquery.src import tables as module

    monkeypatch.setattr(module, "_FIRST_WAIT", 0)
    name = f"{warehouse.project}.{warehouse.dataset}.items"
    tables = tables_of(config)
    table = tables.make(Target(name, [SchemaField("n", "INTEGER")], None), None, {})
    bigquery_proxy.fail("PATCH", TABLES, 412, times=100)
    with pytest.raises(DestinationError, match="table 'items' keeps being changed by others"):
        tables.widen(table, [SchemaField("n", "INTEGER"), SchemaField("m", "STRING")])
    assert len([seen for seen in bigquery_proxy.seen if seen.startswith("PATCH")]) == 8


def tables_of(config: BigQueryConfig) -> Tables:
    details: Any = config.config
    return Tables(Clients(details).bigquery, details)
