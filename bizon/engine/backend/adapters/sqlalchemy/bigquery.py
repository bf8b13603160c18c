"""The state in BigQuery: its connections, and the meaning of its errors.

BigQuery enforces no keys, and the state uses no transactions across statements here. So a statement that inserts looks
first. A lease, the number of a start and a checkpoint are each taken by one statement that names the values it expects;
when several run at once, BigQuery lets one succeed. A run asks whether it is superseded just before its checkpoint, not
in the same statement: a run that is frozen in between, for longer than its lease, may still record the checkpoint.
"""

from typing import TYPE_CHECKING

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from bizon.common.errors.errors import BackendError
from bizon.engine.backend.adapters.sqlalchemy.database import Database
from bizon.google.conflicts import is_conflict
from bizon.google.credentials import CredentialsError, google_credentials

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.config import BigQueryConfigDetails

_PASSING = frozenset({429, 500, 502, 503, 504})  # HTTP
_MISSING = 404


class BigQueryDatabase(Database):
    """A dataset of BigQuery."""

    def __init__(self, config: "BigQueryConfigDetails") -> None:
        self._config = config
        self._client = _client(config)
        super().__init__(_engine(config, self._client), f"BigQuery dataset '{config.database}.{config.schema_name}'")

    def make_room(self) -> None:
        """Create the dataset if the configuration asks for it. Raises BackendError."""
        if not self._config.create_schema:
            return
        dataset = bigquery.Dataset(f"{self._config.database}.{self._config.schema_name}")
        dataset.location = self._config.schema_location
        try:
            self._client.create_dataset(dataset, exists_ok=True)
        except GoogleAPICallError as error:
            raise BackendError(f"the state in {self.name} cannot be used: {error.message}") from error

    def explain(self, error: SQLAlchemyError) -> str:
        cause = _cause(error)
        if cause is None:
            return super().explain(error)
        text = str(cause.message).splitlines()[0]
        return f"{text}; create the dataset, or set create_schema" if cause.code == _MISSING else text

    def may_pass(self, error: SQLAlchemyError) -> bool:
        cause = _cause(error)
        return cause is not None and (cause.code in _PASSING or is_conflict(str(cause.message)))

    def close(self) -> None:
        super().close()
        if self._owns_engine:
            self._client.close()


def _cause(error: SQLAlchemyError) -> GoogleAPICallError | None:
    """BigQuery's answer inside an error."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, GoogleAPICallError):
        arguments = [each for each in found.args if isinstance(each, GoogleAPICallError)]
        found = arguments[0] if arguments else getattr(found, "orig", None) or found.__cause__
    return found


def _client(config: "BigQueryConfigDetails") -> bigquery.Client:
    try:
        credentials = google_credentials(config.service_account_key, anonymous=config.api_endpoint is not None)
    except CredentialsError as error:
        raise BackendError(f"engine.backend: {error}") from None
    options = ClientOptions(api_endpoint=config.api_endpoint) if config.api_endpoint else None
    return bigquery.Client(
        project=config.database, credentials=credentials, location=config.schema_location, client_options=options
    )


def _engine(config: "BigQueryConfigDetails", client: bigquery.Client) -> Engine:
    return create_engine(
        f"bigquery://{config.database}/{config.schema_name}?user_supplied_client=True",
        connect_args={"client": client},
        echo=config.echoEngine,
        max_overflow=-1,  # one for each thread that needs one: the runs of several streams share the pool
        execution_options={"schema_translate_map": {None: config.schema_name}},
    )
