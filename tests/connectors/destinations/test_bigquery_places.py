"""Dataset and bucket have to be where the configuration says; defaults of columns by way of Storage Write."""

from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_unnest as loads
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from connectors.destinations.test_bigquery_changed_tables import Configure
from destinations import open_destination
from google.api_core.exceptions import Forbidden
from google.cloud.bigquery import Dataset
from google.cloud.storage import Client as StorageClient

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.bigquery.src.locations import loads_from

if TYPE_CHECKING:
    from bigquery import Warehouse

EVERY = pytest.mark.parametrize(
    "config_of", [loads.config_of, streaming.config_of, v2.config_of], ids=["bigquery", "streaming", "v2"]
)


def refusal(config: Any, mode: str = "full_refresh") -> str:
    with open_destination(config, mode) as destination, pytest.raises(DestinationConnectionError) as raised:
        destination.check_connection()
    return str(raised.value)


@EVERY
@pytest.mark.parametrize("mode", ["full_refresh", "stream"])
def test_a_dataset_that_is_elsewhere(warehouse: "Warehouse", config_of: Configure, mode: str) -> None:
    text = refusal(config_of(warehouse, None, dataset_location="EU"), mode)  # type: ignore[call-arg]
    assert f"dataset 'test-project.{warehouse.dataset}' is in US, `dataset_location` says EU" in text
    assert "set `dataset_location: US`" in text


@EVERY
def test_the_dataset_of_the_table_is_compared_too(warehouse: "Warehouse", config_of: Configure) -> None:
    other = f"{warehouse.dataset}_eu"
    made = Dataset(f"test-project.{other}")
    made.location = "EU"
    warehouse.client.create_dataset(made)
    try:
        text = refusal(config_of(warehouse, None, destination_id=f"{other}.items"))  # type: ignore[call-arg]
    finally:
        warehouse.client.delete_dataset(other)
    assert f"dataset 'test-project.{other}' is in EU, `dataset_location` says US" in text


def test_a_bucket_that_is_elsewhere(warehouse: "Warehouse") -> None:
    """The emulator's are in us-central1."""
    name = f"{warehouse.dataset}_eu"
    config = loads.config_of(warehouse, None, dataset_id=name, dataset_location="europe-west1", create_dataset=True)
    try:
        text = refusal(config)
    finally:
        warehouse.client.delete_dataset(name)
    assert f"bucket '{warehouse.bucket}' is in US-CENTRAL1, the dataset in europe-west1" in text


def test_an_account_that_may_not_ask_where_the_bucket_is(
    warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage Object Admin, the role that a run needs, does not have that permission."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise Forbidden("storage.buckets.get")

    monkeypatch.setattr(StorageClient, "get_bucket", forbidden)
    with open_destination(loads.config_of(warehouse)) as destination:
        assert destination.check_connection()


@pytest.mark.parametrize(
    ("dataset", "bucket", "expected"),
    [
        ("US", "EUROPE-WEST1", True),
        ("us", "ASIA", True),
        ("EU", "EU", True),
        ("EU", "EUROPE-WEST1", True),
        ("EU", "EUR4", True),
        ("EU", "US", False),
        ("EU", "US-CENTRAL1", False),
        ("europe-west1", "EUROPE-WEST1", True),
        ("europe-west1", "EUROPE-WEST4", False),
        ("europe-west1", "EU", True),
        ("europe-west1", "US", False),
        ("us-central1", "NAM4", True),
        ("asia-northeast1", "ASIA1", True),
        ("asia-northeast1", "EU", False),
    ],
)
def test_locations_that_load_from_a_bucket(dataset: str, bucket: str, expected: bool) -> None:
    assert loads_from(dataset, bucket) is expected
