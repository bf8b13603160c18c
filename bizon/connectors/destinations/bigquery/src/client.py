"""The clients of BigQuery and Cloud Storage."""

from functools import cached_property
from typing import TYPE_CHECKING

from google.auth.credentials import Credentials
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from bizon.common.errors.errors import DestinationConnectionError
from bizon.google.credentials import CredentialsError, google_credentials

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails


class Clients:
    """The clients of one destination, each created on first use."""

    def __init__(self, config: "BigQueryFamilyDetails") -> None:
        self._config = config

    @cached_property
    def bigquery(self) -> bigquery.Client:
        """BigQuery over REST."""
        emulator = self._config.emulator
        return bigquery.Client(
            project=self._config.project_id,
            credentials=self.credentials,
            location=self._config.dataset_location,
            client_options={"api_endpoint": emulator.api_endpoint} if emulator else None,
        )

    @cached_property
    def storage(self) -> StorageClient:
        """Cloud Storage."""
        emulator = self._config.emulator
        endpoint = emulator.storage_endpoint if emulator else None
        return StorageClient(
            project=self._config.project_id,
            credentials=self.credentials,
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )

    @cached_property
    def credentials(self) -> Credentials:
        """Credentials from the configuration, else from the machine. Raises DestinationConnectionError."""
        given = self._config.authentication
        try:
            return google_credentials(
                given.service_account_key if given else "", anonymous=self._config.emulator is not None
            )
        except CredentialsError as error:
            raise DestinationConnectionError(f"bigquery: {error}") from None

    def close(self) -> None:
        """Close the clients that were created."""
        for name in ("bigquery", "storage"):
            client = self.__dict__.pop(name, None)
            if client is not None:
                client.close()
