"""Rows staged in BigQuery are compared with the receipts of the checkpoints before they are published."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from connectors.destinations.bigquery import test_bigquery_faults as loads
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from destinations import open_destination, publish, resumed, rows_of, write

from bizon.common.errors.errors import DestinationError, FinalizeError, WatermarkError
from bizon.destination.models import CommittedBatch, PublishedOutput, ResumePoint
from bizon.engine.pipeline.watermark import check_watermark

if TYPE_CHECKING:
    from collections.abc import Callable

    from bigquery import Warehouse

    Configure = Callable[..., Any]

STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
EVERY = pytest.mark.parametrize(
    "config_of", [loads.config_of, streaming.config_of, v2.config_of], ids=["bigquery", "streaming", "v2"]
)


def ids(warehouse: "Warehouse", name: str = "items") -> list[str]:
    return sorted(row["_source_record_id"] for row in warehouse.rows(name))


@STAGED
def test_rows_removed_or_added_by_others_are_never_published(warehouse: "Warehouse", config_of: "Configure") -> None:
    """``bigquery`` loads the table again from its objects; rows with a strange mark are left out by v2."""
    staging = f"`{warehouse.dataset}.items_temp`"
    with open_destination(config_of(warehouse)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of([{"n": 1}, {"n": 2}]))
        if config_of is loads.config_of:
            warehouse.ask(f"DELETE FROM {staging} WHERE _source_record_id = '1'")
        else:
            warehouse.ask(f"INSERT INTO {staging} SELECT * REPLACE ('x' AS _bizon_batch) FROM {staging}")
        publish(destination, batch)
    assert ids(warehouse) == ["0", "1"]


@STAGED
@pytest.mark.parametrize("receipt", [None, {"object": "elsewhere"}, {"mark": 7}], ids=str)
def test_a_batch_of_another_release(
    warehouse: "Warehouse", config_of: "Configure", receipt: dict[str, Any] | None
) -> None:
    batch = CommittedBatch(3, 4, 2, receipt)
    with open_destination(config_of(warehouse), job_id="job") as destination:
        with pytest.raises(DestinationError, match=r"pages 3-4 were not staged .* older release .*--fresh"):
            destination.prepare(resumed("job", batch))
        with pytest.raises(DestinationError, match=r"pages 3-4 were not staged"):
            destination.verify([batch])


@STAGED
def test_nothing_is_published_that_was_not_verified(warehouse: "Warehouse", config_of: "Configure") -> None:
    with open_destination(config_of(warehouse)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        write(destination, rows_of([{"n": 1}]))
        with pytest.raises(FinalizeError, match="was not verified"):
            destination.finalize()


@pytest.mark.parametrize("damage", ["replaced", "gone"])
def test_an_object_that_is_not_what_was_committed(warehouse: "Warehouse", damage: str) -> None:
    with open_destination(loads.config_of(warehouse)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of([{"n": 1}]))
        (name,) = warehouse.objects()
        blob = warehouse.storage.bucket(warehouse.bucket).blob(name)
        blob.delete()
        if damage == "replaced":
            blob.upload_from_string(b"PAR1")
        wanted = "its checksum differs" if damage == "replaced" else "is missing from the bucket"
        with pytest.raises(DestinationError, match=rf"pages 0-0 \(1 rows\): object '.*' .*{wanted}.*--fresh"):
            destination.verify([batch])
    assert warehouse.rows("items") == []


@EVERY
def test_the_output_says_which_job_published_it(warehouse: "Warehouse", config_of: "Configure") -> None:
    first, second = uuid4().hex, uuid4().hex
    with open_destination(config_of(warehouse), "incremental", first) as destination:
        place = f"{warehouse.project}.{warehouse.dataset}.items"
        assert destination.output().has_rows is False
        destination.prepare(ResumePoint(first))
        batch = write(destination, rows_of([{"n": 1}]))
        for _ in range(2):
            publish(destination, batch)
            found = destination.output()
            assert (found.published_by, found.has_rows) == (first, True)
            assert found.identity == {"destination": destination.sync_metadata.destination_name, "place": place}
    published = PublishedOutput(first, found.identity, has_rows=True)
    with open_destination(config_of(warehouse), "incremental", second) as destination:
        resume = ResumePoint(second, published=published)
        check_watermark(destination.output(), resume)
        warehouse.client.delete_table(place)
        with pytest.raises(WatermarkError, match="is gone or empty"):
            check_watermark(destination.output(), resume)
    with (
        open_destination(config_of(warehouse, destination_id="copied"), "incremental", second) as destination,
        pytest.raises(WatermarkError, match=r"this one writes to .*copied"),
    ):
        check_watermark(destination.output(), resume)
