"""The ``bigquery`` destination: rows go through objects in a bucket and load jobs into a table."""

import hashlib
from dataclasses import replace
from functools import cached_property

import polars as pl
from google.cloud import bigquery

from bizon.connectors.destinations.bigquery.src.client import HOW, connecting, writing
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfigDetails
from bizon.connectors.destinations.bigquery.src.content import Content
from bizon.connectors.destinations.bigquery.src.jobs import Job
from bizon.connectors.destinations.bigquery.src.loads import Loads, LoadsAside
from bizon.connectors.destinations.bigquery.src.locations import check_bucket
from bizon.connectors.destinations.bigquery.src.objects import Objects
from bizon.connectors.destinations.bigquery.src.publish import columns_of, replacing
from bizon.connectors.destinations.bigquery.src.schema import narrowed
from bizon.connectors.destinations.bigquery.src.staged import StagedDestination
from bizon.connectors.destinations.bigquery.src.staging import Staging
from bizon.connectors.destinations.bigquery.src.tables import Target
from bizon.engine.pipeline.models import ResumePoint

_MARK = 12  # hex digits that tell a table from others in the names of objects and jobs


class BigQueryDestination(StagedDestination):
    """Exactly once in sync modes full_refresh and incremental, at least once in stream.

    full_refresh and incremental: rows wait in ``{table}_temp`` or ``{table}_incremental`` until ``finalize`` puts them
    into the place of the table's rows, or to their end, by a job that is done once. stream: each batch is loaded into
    its table at once; a run that is killed between a load and its checkpoint loads the batch again.

    Not promised: staging and bucket belong to the pipeline alone; who changes them meanwhile ends the run.
    """

    config: BigQueryConfigDetails
    data_type = "STRING"

    _staging: Staging
    _aside: LoadsAside | None = None

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: no dataset, no bucket, no permission, no credentials, or they are
        in different places."""
        bucket = self.config.gcs_buffer_bucket
        with connecting(
            f"bigquery: bucket '{bucket}'",
            "make it, and give the account the role Storage Object Admin in it",
        ):
            self._objects.check()
            location = self._objects.location()
        super().check_connection()
        check_bucket(bucket, location, self.config.dataset_location)
        return True

    def prepare(self, resume: ResumePoint) -> None:
        """In sync mode stream, remove what earlier runs have left in the bucket; else see ``StagedDestination``."""
        super().prepare(resume)
        if self._is_stream:
            with writing("bigquery: objects of earlier runs"):
                self._objects.remove_other_jobs()
                self._objects.remove_job()
        elif self.config.async_load:
            how = (self.config.load_files_per_job, self.config.load_max_in_flight_jobs)
            self._aside = LoadsAside(self._loads, self._staging.loaded, *how)

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Load one batch. The same pages loaded again in a run are loaded once."""
        table = self.config.table_of(self.destination_id)
        content = self._content(table)
        encoded = content.of(df_destination_records)
        first, last = self.batch.from_iteration, self.batch.to_iteration
        load = first if self._aside is None or self._aside.name is None else self._aside.name
        part = self._objects.part(self._epoch, load, first, last, _mark_of(table), content.format)
        with writing(f"bigquery: table '{table}'"):
            if self._is_stream:
                self._tables.ensure(self._target(table))
                self._objects.write(part, encoded)
                self._loads.load([part], self._target(table), part.label)
                self._objects.remove([part])
            elif (reason := self._one_table(table)) is not None:
                return False, reason
            else:
                self._staging.write(part, encoded, df_destination_records.height, self._aside)
        return True, None

    def landed(self, *, wait: bool) -> int:
        """With async_load: the last page whose load job is done."""
        if self._aside is None:
            return super().landed(wait=wait)
        with writing(f"bigquery: table '{self.default_destination_id}'"):
            return self._aside.landed(wait=wait)

    def close(self) -> None:
        if self._aside is not None:
            self._aside.close()
        super().close()

    def _open_staging(self, wanted: Target) -> None:
        staged = replace(wanted, table_id=self.temp_table_id)
        written = self._target(self.default_destination_id).schema
        loaded = replace(staged, schema=narrowed(staged.schema, written))
        self._staging = Staging(self._tables, self._loads, self._objects, staged, loaded)

    def _prepare_staging(self, resume: ResumePoint, final: bigquery.Table | None) -> None:
        self._staging.prepare(resume, final)

    def _publish(self, *, append: bool) -> None:
        self._staging.check()
        table, target = self.default_destination_id, self._staging.target
        final = self._tables.find(table)
        if final is None:
            self._tables.make(self._target(table), None)
        else:
            there = self._tables.widen(final, target.schema)
            if append:
                self._staging.widen(there.schema)
        self._jobs.done(self._publish_name, self._copy if append or final is None else self._replace)

    def _copy(self, job_id: str) -> Job:
        """Append the staged rows, which costs nothing."""
        how = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND", create_disposition="CREATE_NEVER")
        source, table = self._staging.target.table_id, self.default_destination_id
        return self._clients.bigquery.copy_table(source, table, job_id=job_id, job_config=how, **HOW)

    def _replace(self, job_id: str) -> Job:
        """Replace all rows by the staged ones. A copy job would do it for nothing, and lose what the owner has set."""
        source = self._staging.target
        columns = columns_of(source.schema)
        query = replacing(self.default_destination_id, columns, f"SELECT {columns} FROM `{source.table_id}`")
        return self._clients.bigquery.query(query, job_id=job_id, job_retry=None, **HOW)

    def _remove_staging(self) -> None:
        self._staging.remove()

    def _content(self, table: str) -> Content:
        if table not in self._contents:
            self._contents[table] = Content(self._schema_of(table), self._target(table).schema)
        return self._contents[table]

    @cached_property
    def _contents(self) -> dict[str, Content]:
        return {}

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self._clients.storage, self.config.gcs_buffer_bucket, self.sync_metadata, self._owner)

    @cached_property
    def _loads(self) -> Loads:
        return Loads(self._clients.bigquery, self._jobs, self._objects, self.sync_metadata.job_id)


def _mark_of(table: str) -> str:
    return hashlib.sha256(table.encode()).hexdigest()[:_MARK]
