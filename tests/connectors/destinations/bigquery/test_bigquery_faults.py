"""Google's services on a bad day: nothing is lost, nothing arrives twice, and errors are clear."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from destinations import open_destination, publish, resumed, rows_of, write
from http_proxy import HttpProxy

from bizon.common.errors.errors import (
    DestinationConnectionError,
    DestinationError,
    DestinationWriteError,
    FinalizeError,
)
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

Rows = list[tuple[str, str]]
JOBS = "/bigquery/v2/projects/test-project/jobs"
TWO = [{"n": 1}, {"n": 2}]


def config_of(warehouse: "Warehouse", **keys: Any) -> BigQueryConfig:
    block = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items", **keys}
    return BigQueryConfig(name="bigquery", config=block)


def run(config: BigQueryConfig, mode: str = "incremental") -> None:
    with open_destination(config, mode) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of(TWO)))


def published(warehouse: "Warehouse") -> Rows:
    return sorted((row["_source_record_id"], row["_source_data"]) for row in warehouse.rows("items"))


ONCE: Rows = [("0", '{"n":1}'), ("1", '{"n":2}')]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
@pytest.mark.parametrize("where", ["jobs", "tables"])
def test_a_request_that_fails_temporarily_is_retried(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, status: int, where: str
) -> None:
    bigquery_proxy.fail("POST", f"/{where}", status)
    run(config)
    assert published(warehouse) == ONCE


@pytest.mark.parametrize("job", [0, 1])
def test_a_job_whose_answer_was_lost_runs_once(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy, job: int
) -> None:
    with open_destination(config, "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        if job == 0:
            bigquery_proxy.fail("POST", JOBS, 503, done=True)
        batch = write(destination, rows_of(TWO))
        if job == 1:
            bigquery_proxy.fail("POST", JOBS, 0, done=True)
        publish(destination, batch)
    assert published(warehouse) == ONCE
    assert not any(fault.times for fault in bigquery_proxy.faults)


def test_an_upload_that_fails_temporarily_is_retried(
    warehouse: "Warehouse", config: BigQueryConfig, storage_proxy: HttpProxy
) -> None:
    storage_proxy.fail("POST", "/upload/", 503, times=2)
    run(config)
    assert published(warehouse) == ONCE
    assert warehouse.objects() == []


def test_a_forbidden_request_is_reported_and_not_retried(config: BigQueryConfig, bigquery_proxy: HttpProxy) -> None:
    refusal = {"error": {"code": 403, "message": "Access Denied", "errors": [{"reason": "accessDenied"}]}}
    bigquery_proxy.fail("POST", JOBS, 403, times=100, body=json.dumps(refusal))
    with open_destination(config) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with pytest.raises(DestinationWriteError, match=r"Access Denied") as raised:
            destination.write_records(rows_of(TWO))
    assert not raised.value.retryable
    assert len([seen for seen in bigquery_proxy.seen if seen.startswith(f"POST {JOBS}")]) == 1


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"dataset_id": "nowhere"}, "dataset 'test-project.nowhere': 404 .*set create_dataset"),
        ({"gcs_buffer_bucket": "no-bucket"}, "bucket 'no-bucket': 404 .*Storage Object Admin"),
    ],
)
def test_a_missing_resource_is_reported_before_anything_is_fetched(
    warehouse: "Warehouse", keys: dict[str, Any], reason: str
) -> None:
    with (
        open_destination(config_of(warehouse, **keys)) as destination,
        pytest.raises(DestinationConnectionError, match=reason),
    ):
        destination.check_connection()


def test_a_missing_dataset_is_created_on_request(warehouse: "Warehouse") -> None:
    name = f"{warehouse.dataset}_new"
    with open_destination(config_of(warehouse, dataset_id=name, create_dataset=True)) as destination:
        assert destination.check_connection()
    assert warehouse.client.get_dataset(name).dataset_id == name
    warehouse.client.delete_dataset(name)


def test_a_look_creates_no_dataset_and_accepts_a_missing_one(warehouse: "Warehouse") -> None:
    name = f"{warehouse.dataset}_looked_at"
    with open_destination(config_of(warehouse, dataset_id=name, create_dataset=True)) as destination:
        destination.only_looks = True
        assert destination.check_connection()
    assert name not in [dataset.dataset_id for dataset in warehouse.client.list_datasets()]


def test_a_failed_load_ends_the_run_and_the_next_run_repeats_it(warehouse: "Warehouse") -> None:
    config = config_of(warehouse)
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job))
        two = write(destination, rows_of(TWO))
        warehouse.client.delete_table(f"{warehouse.dataset}.items_temp")
        destination.batch = type(destination.batch)(1, 1)
        with pytest.raises(DestinationWriteError, match=r"items_temp"):
            destination.write_records(rows_of([{"n": 3}], first=2))
    with open_destination(config, job_id=job) as destination:
        destination.prepare(resumed(job, two))
        destination.batch = type(destination.batch)(1, 1)
        publish(destination, two, write(destination, rows_of([{"n": 3}], first=2)))
    assert published(warehouse) == [*ONCE, ("2", '{"n":3}')]


def test_rows_of_a_superseded_run_are_not_published(warehouse: "Warehouse") -> None:
    config = config_of(warehouse)
    with open_destination(config, "incremental") as frozen:
        job = frozen.sync_metadata.job_id
        frozen.prepare(ResumePoint(job))
        two = write(frozen, rows_of(TWO))
        with open_destination(config, "incremental", job) as taker:
            taker.prepare(resumed(job, two))
            frozen.batch = type(frozen.batch)(1, 2)
            frozen.write_records(rows_of([{"n": "of the frozen run"}], first=2))
            taker.batch = type(taker.batch)(1, 1)
            publish(taker, two, write(taker, rows_of([{"n": 3}], first=2)))
    assert published(warehouse) == [*ONCE, ("2", '{"n":3}')]


def test_objects_removed_by_someone_else_are_reported_missing(warehouse: "Warehouse") -> None:
    config = config_of(warehouse)
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job))
        two = write(destination, rows_of(TWO))
    for name in warehouse.objects():
        warehouse.storage.bucket(warehouse.bucket).delete_blob(name)
    warehouse.client.delete_table(f"{warehouse.dataset}.items_temp")
    with (
        open_destination(config, job_id=job) as destination,
        pytest.raises(DestinationError, match=r"pages 0-0 \(2 rows\): object '.*' is missing .*--fresh"),
    ):
        destination.prepare(resumed(job, two))


def test_a_failed_publication_is_retried(
    warehouse: "Warehouse", config: BigQueryConfig, bigquery_proxy: HttpProxy
) -> None:
    refusal = {"error": {"code": 403, "message": "Access Denied", "errors": [{"reason": "accessDenied"}]}}
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job))
        two = write(destination, rows_of(TWO))
        destination.verify([two])
        bigquery_proxy.fail("POST", JOBS, 403, body=json.dumps(refusal))
        with pytest.raises(FinalizeError, match=r"was not replaced: .*Access Denied.*run again to publish"):
            destination.finalize()
    with open_destination(config, job_id=job) as destination:
        destination.prepare(resumed(job, two, exhausted=True))
        publish(destination, two)
    assert published(warehouse) == ONCE
    assert warehouse.tables() == ["items"]
    assert warehouse.objects() == []
