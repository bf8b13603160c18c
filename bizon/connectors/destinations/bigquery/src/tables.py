"""Tables of BigQuery: find, query, create, change. All requests about tables are here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError
from bizon.common.safe_log import logger
from bizon.connectors.destinations.bigquery.src.growth import grown, retyped
from bizon.connectors.destinations.bigquery.src.merging import merged
from bizon.connectors.destinations.bigquery.src.request_policy import LOOKS, REQUEST_OPTIONS, RETRY, repeated
from bizon.connectors.destinations.bigquery.src.schema import narrowed

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails

_ATTEMPTS = 8  # of a change while others change the table too
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0  # seconds between them


def attempts() -> Iterator[Any]:
    """Attempts at a change of a table: each reads it, and changes it unless somebody has changed it since."""
    return repeated(_ATTEMPTS, _FIRST_WAIT, _LONGEST_WAIT)


class Target(NamedTuple):
    """A table as it should be: its full id, and how to create it. ``infers``: its columns follow the records, so that
    they may also become wider."""

    table_id: str
    schema: Sequence[SchemaField]
    clustering: Sequence[str] | None
    infers: bool = False


class Tables:
    """Operations on tables, whoever owns them."""

    def __init__(self, client: bigquery.Client, config: "BigQueryFamilyDetails") -> None:
        self._client = client
        self._config = config

    def find(self, table_id: str) -> bigquery.Table | None:
        """A table; None when there is none."""
        try:
            return self.get(table_id)
        except exceptions.NotFound:
            return None

    def get(self, table: str | bigquery.TableReference) -> bigquery.Table:
        """A table that must be there."""
        return self._client.get_table(table, **REQUEST_OPTIONS)

    def query(self, sql: str, parameters: Sequence[bigquery.ArrayQueryParameter] = ()) -> Iterable[Any]:
        """The rows that a query returns. It is run again when it fails for a reason that passes, by the policy of
        requests, so it must be safe to repeat."""
        job_config = bigquery.QueryJobConfig(query_parameters=list(parameters)) if parameters else None

        def run() -> Iterable[Any]:
            job = self._client.query(sql, job_config=job_config, job_retry=None, **REQUEST_OPTIONS)
            return job.result(retry=LOOKS, job_retry=None)

        return RETRY(run)()

    def insert(
        self, table_id: str, rows: Sequence[Mapping[str, Any]], ids: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """Insert rows by insertAll, each with an id by which BigQuery skips repeats. Returns the errors of rows."""
        errors: Sequence[Mapping[str, Any]] = self._client.insert_rows_json(
            table_id, rows, row_ids=ids, **REQUEST_OPTIONS
        )
        return errors

    def count(self, table_id: str) -> int | None:
        """Rows of a table; None when there is no table. A query counts them, which costs nothing: the metadata of the
        table may lag."""
        try:
            rows = self.query(f"SELECT COUNT(*) FROM `{table_id}`")
        except exceptions.NotFound:
            return None
        return int(next(iter(rows))[0])

    def make(
        self,
        target: Target,
        like: bigquery.Table | None,
        labels: Mapping[str, str],
        description: str | None = None,
        *,
        exists_ok: bool = True,
    ) -> bigquery.Table:
        """Create an empty table, partitioned, clustered and encrypted like ``like``, but without its expiration; as
        configured when ``like`` is None. An existing table stays as it is, or raises Conflict."""
        table = bigquery.Table(target.table_id, schema=target.schema)
        if like is not None:
            table.time_partitioning, table.range_partitioning = _kept(like.time_partitioning), like.range_partitioning
            table.clustering_fields = like.clustering_fields
            table.encryption_configuration = like.encryption_configuration
        else:
            table.time_partitioning = self._partitioning(target.schema)
            table.clustering_fields = list(target.clustering) if target.clustering else None
        table.labels, table.description = dict(labels), description
        return self._client.create_table(table, exists_ok=exists_ok, **REQUEST_OPTIONS)

    def relabel(self, table: bigquery.Table, labels: Mapping[str, str | None]) -> bigquery.Table | None:
        """Change the labels of a table; None when somebody has changed the table since it was read."""
        table.labels = {**table.labels, **labels}
        try:
            return self._client.update_table(table, ["labels"], **REQUEST_OPTIONS)
        except exceptions.PreconditionFailed:
            return None

    def columns(self, target: Target) -> list[SchemaField]:
        """The columns that a target names, as its table has them."""
        return narrowed(self.get(target.table_id).schema, target.schema)

    def fit(self, table: bigquery.Table, target: Target) -> bigquery.Table:
        """Add the columns that a table lacks, and give those that the records have outgrown their wider type. Raises
        DestinationError for a column of another type."""
        if not target.infers:
            return self.widen(table, target.schema)
        for attempt in attempts():
            schema = grown(table.schema, target.schema, table.table_id)
            wider = retyped(table.schema, schema)
            if not wider:
                break
            try:
                self._retype(table, wider)
            except exceptions.BadRequest:  # somebody has made it wider still
                if attempt.is_last:
                    raise
            table = self.get(table.reference)
        return self.widen(table, schema)

    def _retype(self, table: bigquery.Table, wider: Iterable[SchemaField]) -> None:
        name = f"{table.project}.{table.dataset_id}.{table.table_id}"
        for field in wider:
            kind = field.field_type  # NUMERIC or BIGNUMERIC
            self.query(f"ALTER TABLE `{name}` ALTER COLUMN `{field.name}` SET DATA TYPE {kind}")

    def widen(self, table: bigquery.Table, wanted: Sequence[SchemaField]) -> bigquery.Table:
        """Add the columns that a table lacks. Raises DestinationError for one of another type."""
        for _ in attempts():
            schema = merged(table.schema, wanted, table.table_id)
            if schema == list(table.schema):
                return table
            table.schema = schema
            try:
                return self._client.update_table(table, ["schema"], **REQUEST_OPTIONS)
            except (exceptions.PreconditionFailed, exceptions.BadRequest, exceptions.Conflict) as error:
                there = self.get(table.reference)
                if not isinstance(error, exceptions.PreconditionFailed) and there.etag == table.etag:
                    raise
                table = there  # somebody has changed it since, perhaps by a column that this schema lacks
        raise DestinationError(f"table '{table.table_id}' keeps being changed by others")

    def check_partitioning(self, table: bigquery.Table) -> None:
        """Warn about a table that is not partitioned as configured, or raise DestinationError."""
        wanted, there = (
            _shown(self._partitioning(table.schema), None),
            _shown(table.time_partitioning, table.range_partitioning),
        )
        if wanted.lower() == there.lower():
            return
        text = f"table '{table.table_id}' is partitioned by {there}, time_partitioning says {wanted}"
        if self._config.enforce_partitioning:
            raise DestinationError(f"{text}: recreate it, or change time_partitioning or enforce_partitioning")
        logger.warning(f"{text}; it stays as it is")

    def _partitioning(self, schema: Sequence[SchemaField]) -> bigquery.TimePartitioning | None:
        wanted = self._config.time_partitioning
        if wanted is None:
            return None
        names = {field.name.lower(): field.name for field in schema}
        if wanted.field is not None and wanted.field.lower() not in names:
            if "field" not in wanted.model_fields_set:
                return None  # an unnested table that lacks the default column
            raise DestinationError(f"time_partitioning.field '{wanted.field}' is not a column of the table")
        field = None if wanted.field is None else names[wanted.field.lower()]
        return bigquery.TimePartitioning(type_=wanted.type.value, field=field)


def _kept(partitioning: bigquery.TimePartitioning | None) -> bigquery.TimePartitioning | None:
    """The partitioning of staging: the table's, but nothing expires before it is published."""
    if partitioning is None:
        return None
    return bigquery.TimePartitioning(type_=partitioning.type_, field=partitioning.field)


def _shown(time: bigquery.TimePartitioning | None, range_: bigquery.RangePartitioning | None) -> str:
    if time is not None:
        return f"{time.type_} of {time.field or 'arrival'}"
    return "nothing" if range_ is None else f"ranges of {range_.field}"
