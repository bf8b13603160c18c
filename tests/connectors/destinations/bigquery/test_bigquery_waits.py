"""A BigQuery that answers nothing but 503: waits end with the run, and a check gives up soon."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery.test_bigquery_faults import JOBS
from destinations import open_destination
from e2e.conftest import Pipeline
from google.cloud.bigquery import LoadJobConfig
from http_proxy import HttpProxy
from pytest_httpserver import HTTPServer
from stops import BOUND, error_when_stopped

from bizon.common.errors.errors import DestinationConnectionError, StoppedError
from bizon.common.waiting import within
from bizon.connectors.destinations.bigquery.src.bigquery_jobs import BigQueryJobs
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.connectors.destinations.bigquery.src.objects import Objects

if TYPE_CHECKING:
    from pathlib import Path

    from bigquery import Warehouse

WaitFor = Callable[[Callable[[], bool]], None]
MANY = 1_000_000  # requests
BROKEN = '{"error": {"code": 503, "message": "backend unavailable", "errors": []}}'


@pytest.fixture
def broken(httpserver: HTTPServer) -> BigQueryConfig:
    """A destination whose BigQuery answers nothing but 503."""
    httpserver.expect_request("").respond_with_data(BROKEN, 503, content_type="application/json")
    url = httpserver.url_for("").rstrip("/")
    keys: dict[str, Any] = {"project_id": "p", "dataset_id": "d", "gcs_buffer_bucket": "b", "destination_id": "items"}
    return BigQueryConfig(name="bigquery", config={**keys, "emulator": {"api_endpoint": url, "storage_endpoint": url}})


def check(destination: Any) -> None:
    destination.check_connection()


def load(destination: Any) -> None:
    jobs = BigQueryJobs(destination._clients.bigquery, "US")
    jobs.load_content("job", b"{}", "p.d.items", LoadJobConfig())


def upload(destination: Any) -> None:
    objects = Objects(destination._clients.storage, "b", destination.sync_metadata)
    objects.write(objects.part(1, 0, 0, 0, "items", "json"), b"{}")


@pytest.mark.parametrize("request_it", [check, load, upload])
def test_a_stop_ends_the_wait_before_a_request_is_repeated(
    broken: BigQueryConfig, httpserver: HTTPServer, wait_for: WaitFor, request_it: Callable[[Any], None]
) -> None:
    """Google's policies waited on: two minutes in all, and for a load of bytes by one more of about a minute."""
    with open_destination(broken) as destination:
        error = error_when_stopped(lambda: request_it(destination), lambda: wait_for(lambda: len(httpserver.log) > 1))
    assert isinstance(error, StoppedError)


def test_a_check_gives_up_within_its_bound_with_one_error(broken: BigQueryConfig, httpserver: HTTPServer) -> None:
    with (
        open_destination(broken) as destination,
        within(1),
        pytest.raises(
            DestinationConnectionError, match=r"^bigquery: bucket 'b': 503 backend unavailable, for \S+ seconds$"
        ),
    ):
        destination.check_connection()
    assert len(httpserver.log) < 30, "the bound of the check did not reach the requests"


def test_sigterm_ends_a_run_whose_load_job_cannot_be_started(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, tmp_path: "Path", wait_for: WaitFor
) -> None:
    bigquery_proxy.fail("POST", JOBS, 503, times=MANY, body=BROKEN)

    def starts() -> int:
        return sum(each.startswith(f"POST {JOBS}") for each in bigquery_proxy.seen)

    pipeline = Pipeline(tmp_path)
    block = config.config.model_dump(mode="json", exclude_unset=True)
    pipeline.config["destination"] = {"name": "bigquery", "config": block}
    run = pipeline.start()
    wait_for(lambda: starts() > 2)
    os.kill(run.pid, signal.SIGTERM)
    output, _ = run.communicate(timeout=BOUND)
    assert run.returncode == 130, output
