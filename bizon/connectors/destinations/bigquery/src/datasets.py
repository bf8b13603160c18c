"""The datasets of a run: checked, or created."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.api_core import exceptions
from google.cloud import bigquery

from bizon.connectors.destinations.bigquery.src.locations import check_dataset
from bizon.connectors.destinations.bigquery.src.request_policy import REQUEST_OPTIONS, connecting

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails

_REMEDY = "create it, or set create_dataset, and give the account the roles BigQuery Data Editor and Job User"


class Datasets:
    """The datasets that a run has seen. ``client``: makes the client."""

    def __init__(self, client: Callable[[], bigquery.Client], config: "BigQueryFamilyDetails") -> None:
        self._client = client
        self._config = config
        self.home = f"{config.project_id}.{config.dataset_id}"
        self.seen: set[str] = set()

    def check(self, dataset: str, *, make: bool, only_looks: bool) -> None:
        """Check that a dataset exists where it should, or create it. Raises DestinationConnectionError."""
        if dataset in self.seen:
            return
        with connecting(f"bigquery: dataset '{dataset}'", _REMEDY):
            try:
                location = self._client().get_dataset(dataset, **REQUEST_OPTIONS).location
            except exceptions.NotFound:
                if only_looks and self._config.create_dataset and dataset == self.home:
                    return  # a run creates it
                if not make:
                    raise
                location = self._make(dataset)
        check_dataset(dataset, location, self._config.dataset_location)
        self.seen.add(dataset)

    def _make(self, dataset: str) -> str | None:
        made = bigquery.Dataset(dataset)
        made.location = self._config.dataset_location
        location: str | None = self._client().create_dataset(made, exists_ok=True, **REQUEST_OPTIONS).location
        return location
