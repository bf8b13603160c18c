"""Messages about trouble: jobs that end in an error, and a service that stays unreachable."""

import json
from typing import TYPE_CHECKING

import pytest
import requests
from connectors.destinations.bigquery.test_bigquery_faults import JOBS, ONCE, TWO, published, run
from destinations import open_destination, publish, rows_of, write
from http_proxy import HttpProxy
from loguru import logger
from ports import free_port

from bizon.common.errors.errors import DestinationConnectionError, DestinationWriteError
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse


def ended_in(reason: str, message: str) -> str:
    """A failed load job, as BigQuery reports it."""
    error = {"reason": reason, "message": message, "location": "gs://b/o"}
    more = {"reason": reason, "message": "Error while reading data: column 'n', row 7"}
    return json.dumps(
        {
            "jobReference": {"projectId": "test-project", "jobId": "j", "location": "US"},
            "configuration": {"jobType": "LOAD", "load": {}},
            "status": {"state": "DONE", "errorResult": error, "errors": [error, more]},
        }
    )


def test_a_load_job_that_ends_in_an_error_ends_the_run_and_says_why(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job))
        bigquery_proxy.fail("POST", JOBS, 200, body=ended_in("invalid", "1 error in 1 row"))
        with pytest.raises(DestinationWriteError, match=r"load job '\w+' failed: 1 error in 1 row; Error .* row 7"):
            destination.write_records(rows_of(TWO))
    with open_destination(config, job_id=job) as destination:
        destination.prepare(ResumePoint(job, epoch=2))
        publish(destination, write(destination, rows_of(TWO)))
    assert published(warehouse) == ONCE


def test_a_load_job_that_fails_temporarily_is_retried(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    bigquery_proxy.fail("POST", JOBS, 200, times=2, body=ended_in("backendError", "try again"))
    run(config)
    assert published(warehouse) == ONCE


def test_a_load_job_that_keeps_failing_ends_the_run(
    config: BigQueryConfig, bigquery_proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bizon.connectors.destinations.bigquery.src import bigquery_jobs

    monkeypatch.setattr(bigquery_jobs, "_FIRST_WAIT", 0)
    bigquery_proxy.fail("POST", JOBS, 200, times=100, body=ended_in("backendError", "try again"))
    with pytest.raises(DestinationWriteError, match=r"failed: try again.*, 8 times; run again to resume"):
        run(config)
    assert len([seen for seen in bigquery_proxy.seen if seen.startswith(f"POST {JOBS}")]) == 8


def test_a_service_that_stays_unreachable_is_reported_in_one_line() -> None:
    from bizon.connectors.destinations.bigquery.src import request_policy

    told: list[str] = []
    sink = logger.add(told.append, format="{level} {message}", level="WARNING")
    brief = request_policy.RunRetry(predicate=request_policy.is_passing, initial=0.01, maximum=0.01, timeout=0.2)
    with (
        pytest.raises(
            DestinationConnectionError, match=r"^here: no connection: .*Connection refused, for \S+ seconds$"
        ),
        request_policy.connecting("here"),
    ):
        brief(requests.get)(f"http://127.0.0.1:{free_port()}/secret")
    logger.remove(sink)
    assert "WARNING bigquery: no connection: [Errno 111] Connection refused; retrying\n" in told
    assert "secret" not in str(told)
