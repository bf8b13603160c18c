"""The base of the three BigQuery destinations: names, schemas, tables, and the clients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from google.cloud import bigquery

from bizon.common.errors.errors import DestinationConnectionError, RowsRejectedError
from bizon.connectors.destinations.bigquery.src.bigquery_jobs import BigQueryJobs
from bizon.connectors.destinations.bigquery.src.client import Clients
from bizon.connectors.destinations.bigquery.src.datasets import Datasets
from bizon.connectors.destinations.bigquery.src.declared_tables import DeclaredTables
from bizon.connectors.destinations.bigquery.src.finals import FinalTables
from bizon.connectors.destinations.bigquery.src.inferred_tables import InferredTables
from bizon.connectors.destinations.bigquery.src.landed import Landed
from bizon.connectors.destinations.bigquery.src.owner_labels import OwnerLabels, Publication, rows_in
from bizon.connectors.destinations.bigquery.src.places import named_by_record
from bizon.connectors.destinations.bigquery.src.reading import BigQueryReader, reader_of
from bizon.connectors.destinations.bigquery.src.request_policy import connecting, writing
from bizon.connectors.destinations.bigquery.src.tables import Tables
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import OutputState, ResumePoint, WriteMode

if TYPE_CHECKING:
    from bizon.common.sync import SyncMetadata
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails
    from bizon.connectors.destinations.bigquery.src.tables import Target
    from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback

_SUFFIXES = {WriteMode.REPLACE: "_temp", WriteMode.APPEND: "_incremental"}


class BigQueryFamilyDestination(AbstractDestination):
    """``data_type``: the type of ``_source_data``. ``mode``: the mode of the columns where records are not unnested."""

    config: "BigQueryFamilyDetails"
    data_type: ClassVar[str]
    mode: ClassVar[str] = "NULLABLE"
    _replaces: ClassVar[bool] = True  # a full refresh replaces the rows of the table

    def __init__(
        self,
        sync_metadata: "SyncMetadata",
        config: "BigQueryFamilyDetails",
        backend: "AbstractBackend",
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> None:
        self._automatic_name = f"{config.table_prefix}{sync_metadata.source_name}_{sync_metadata.stream_name}"
        super().__init__(
            sync_metadata=sync_metadata,
            config=config,
            backend=backend,
            source_callback=source_callback,
            monitor=monitor,
        )
        self._is_stream = sync_metadata.write_mode is WriteMode.IN_PLACE
        self._labels = OwnerLabels(sync_metadata.owner)
        self._clients = Clients(config)
        self._declared = DeclaredTables(config, self._find_named, self.data_type, self.mode)
        self._inferred = InferredTables(config, self._find_named) if config.infers else None
        self._datasets = Datasets(lambda: self._clients.bigquery, config)
        self._landed = Landed()
        self._epoch, self._created_us = 1, 0

    @property
    def default_destination_id(self) -> str:
        """``project.dataset.table``: the configured table, else ``<prefix><source>_<stream>``."""
        return self.config.table_of(self.config.destination_id or self._automatic_name)

    @property
    def temp_table_id(self) -> str:
        """``{table}_temp`` for rows that replace, ``{table}_incremental`` for rows to append; else the table itself."""
        return f"{self.default_destination_id}{_SUFFIXES.get(self.sync_metadata.write_mode, '')}"

    @property
    def dead_letter_id(self) -> str:
        """In the working directory: ``table.dead_letters.json``."""
        return f"{self.default_destination_id.rpartition('.')[2]}.dead_letters"

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: no dataset, no permission, no credentials."""
        dataset = self._datasets.home
        for name in dict.fromkeys((dataset, _dataset_of(self.default_destination_id))):
            self._check_dataset(name, make=self.config.create_dataset and name == dataset)
        if dataset not in self._datasets.seen:  # a look does not create it
            return True
        with self._connecting(f"dataset '{dataset}'"):
            self._keep_legacy_name()
            if not self._is_stream:
                self._target(self.default_destination_id)
        return True

    def prepare(self, resume: ResumePoint) -> None:
        """Note which start this is. In sync mode stream, raises DestinationConnectionError for a configured table that
        this pipeline must not write; in the other modes, the destinations that stage check it."""
        self._epoch, self._created_us = resume.epoch, resume.job_created_us
        self._finals.adopt = resume.adopt
        if self._is_stream:
            with self._connecting(f"table '{self.default_destination_id}'"):
                there = self._tables.find(self.default_destination_id)
            if there is not None:
                self._finals.check(there)

    def output(self) -> OutputState:
        """The table as it is now, and the job of this pipeline that published it last."""
        table = self.default_destination_id
        identity = {"destination": self.sync_metadata.destination_name, "place": table}
        if self._is_stream:
            return OutputState(identity)
        with self._connecting(f"table '{table}'"):
            found = self._tables.find(table)
        if found is None:
            return OutputState(identity, None, has_rows=False)
        published, rows = self._labels.publication(found), rows_in(found)
        return OutputState(identity, published.job_id if published else None, None if rows is None else rows > 0)

    @contextmanager
    def reading(self) -> Iterator[BigQueryReader]:
        """Within: the table can be read. Raises NoTableError and DestinationConnectionError."""
        with self._connecting(f"table '{self.default_destination_id}'"):
            self._keep_legacy_name()
            found = self._tables.find(self.default_destination_id)
        yield reader_of(self._clients.bigquery, found, self.default_destination_id)

    def _check_dataset(self, dataset: str, *, make: bool) -> None:
        """Check that a dataset exists where it should, or create it. Raises DestinationConnectionError."""
        self._datasets.check(dataset, make=make, only_looks=self.only_looks)

    def _writing(self, what: str) -> AbstractContextManager[None]:
        """Within: an error from Google becomes DestinationWriteError. ``what``: what is being done."""
        return writing(f"bigquery: {what}")

    def _connecting(self, what: str, remedy: str = "") -> AbstractContextManager[None]:
        """Within: an error from Google becomes DestinationConnectionError, with the remedy."""
        return connecting(f"bigquery: {what}", remedy)

    def describe(self) -> str:
        """The tables of this run."""
        return ", ".join(self._of_run.known) or self.default_destination_id

    def rescued(self) -> int:
        """The values of the last batch that are in ``_bizon_rescued``."""
        return 0 if self._inferred is None else self._inferred.rescued()

    @property
    def infers_columns(self) -> bool:
        """With ``unnest: true``, unless `record_schemas` has all columns."""
        return self._inferred is not None

    def close(self) -> None:
        """Close the clients."""
        self._clients.close()

    def _one_table(self, table: str) -> str | None:
        """The reason to refuse rows for another table than the configured one; None for rows that belong there."""
        only = self.default_destination_id
        if table == only:
            return None
        return f"sync mode {self.sync_metadata.sync_mode} writes one table, '{only}'; the rows are for '{table}'"

    def _table_of_rows(self, rows: int) -> str:
        """The table of the current batch. Raises RowsRejectedError when a record names a table that it must not."""
        named = self.destination_id
        if not self._is_stream or named == self.default_destination_id:
            return self.config.table_of(named)
        with self._rejecting(rows):
            return named_by_record(named, self.config, self.default_destination_id)

    @contextmanager
    def _rejecting(self, rows: int) -> Iterator[None]:
        """Within: an error of a table that a record has named refuses all rows for that table."""
        try:
            yield
        except DestinationConnectionError as error:
            named = self.destination_id
            if self.config.table_of(named) == self.default_destination_id:
                raise
            raise RowsRejectedError(dict.fromkeys(range(rows), f"destination_id {named!r}: {error}")) from error

    def _target(self, table: str) -> "Target":
        """A table as it should be. Raises DestinationConnectionError when ``unnest`` has no columns for it."""
        return self._of_run.target(table)

    def _wanted(self, final: bigquery.Table | None) -> "Target":
        """The table once it is published: the columns it had, and the new ones."""
        return self._of_run.widened(self.default_destination_id, final)

    @property
    def _of_run(self) -> DeclaredTables | InferredTables:
        return self._inferred or self._declared

    def _typed(self, inferred: InferredTables, table: str, rows: pl.DataFrame) -> "TypedRows":
        """The rows of a batch with inferred columns, which their table has from now on. Raises RowsRejectedError."""
        changed = self._finals.ensure(self._target(table))
        there = self._tables.get(table)
        inferred.begin_batch(self.batch)
        inferred.see_again(table, there)
        found = inferred.typed(table, rows, lambda: there.schema)
        if found.grows:
            self._tables.fit(there, self._target(table))
        return found._replace(grows=found.grows or changed)

    def _find_named(self, table: str) -> bigquery.Table | None:
        """The table if there is one. Also checks its dataset when a record has named it, in sync mode stream."""
        if _dataset_of(table) != _dataset_of(self.default_destination_id):
            self._check_dataset(_dataset_of(table), make=False)
        return self._tables.find(table)

    def _keep_legacy_name(self) -> None:
        """Keep using a table without the prefix: older releases had none."""
        legacy = f"{self.sync_metadata.source_name}_{self.sync_metadata.stream_name}"
        if self.config.destination_id is None and self._tables.find(self.config.table_of(legacy)) is not None:
            self._automatic_name = legacy

    def _mark_published(self) -> None:
        """Note on the table that this job has published it."""
        published = Publication(self._created_us, self.sync_metadata.job_id)
        self._finals.mark(self.default_destination_id, published)

    def _knows(self, job_id: str) -> bool:
        return self.backend.get_stream_job_by_id(job_id) is not None

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self._clients.bigquery, self.config)

    @cached_property
    def _finals(self) -> FinalTables:
        replaces = self._replaces and self.sync_metadata.write_mode is WriteMode.REPLACE
        return FinalTables(self._tables, self._labels, self._knows, replaces=replaces)

    @cached_property
    def _jobs(self) -> BigQueryJobs:
        return BigQueryJobs(self._clients.bigquery, self.config.dataset_location)


def _dataset_of(table: str) -> str:
    return table.rpartition(".")[0]
