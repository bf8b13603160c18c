"""The ``bigquery`` destination: rows go through objects in a bucket and load jobs into a table."""

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from bizon.connectors.destinations.bigquery.src.background_loads import BackgroundLoads
from bizon.connectors.destinations.bigquery.src.content import Content
from bizon.connectors.destinations.bigquery.src.loads import Loads
from bizon.connectors.destinations.bigquery.src.locations import check_bucket
from bizon.connectors.destinations.bigquery.src.object_parts import PartOfObjects
from bizon.connectors.destinations.bigquery.src.object_staging import ObjectStaging
from bizon.connectors.destinations.bigquery.src.objects import Objects
from bizon.connectors.destinations.bigquery.src.schema import narrowed
from bizon.connectors.destinations.bigquery.src.staged_destination import BigQueryStagedDestination
from bizon.connectors.destinations.bigquery.src.typed_values import lines

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryConfigDetails
    from bizon.connectors.destinations.bigquery.src.tables import Target
    from bizon.destination.models import ResumePoint

_MARK = 12  # hex digits that tell a table from others in the names of objects and jobs


class BigQueryDestination(BigQueryStagedDestination):
    """Exactly once in sync modes full_refresh and incremental, at least once in stream.

    full_refresh and incremental: rows wait in ``{table}_temp`` or ``{table}_incremental`` until ``finalize`` replaces
    the rows of the table with them, or appends them, by a job that is done once. stream: each batch is loaded into its
    table at once; a run that is killed between a load and its checkpoint loads the batch again.

    Not promised: staging and bucket belong to the pipeline alone; a change by somebody else ends the run.
    """

    config: "BigQueryConfigDetails"
    data_type = "STRING"

    _staging: ObjectStaging
    _background: BackgroundLoads | None = None

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: no dataset, no bucket, no permission, no credentials, or dataset
        and bucket are in locations that do not fit."""
        bucket = self.config.gcs_buffer_bucket
        with self._connecting(
            f"bucket '{bucket}'",
            "create it, and give the account the role Storage Object Admin in it",
        ):
            self._objects.check()
            location = self._objects.location()
        super().check_connection()
        check_bucket(bucket, location, self.config.dataset_location)
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Load one batch. The same pages, written again in a run, are loaded once; with inferred columns, if their
        content is the same."""
        rows = df_destination_records.height
        table = self._table_of_rows(rows)
        if not self._in_place and (reason := self._one_table(table)) is not None:
            return False, reason
        format, encoded = self._encoded(table, df_destination_records)
        first, last = self.batch.from_iteration, self.batch.to_iteration
        load = first if self._background is None or self._background.next_load is None else self._background.next_load
        part = self._objects.part(
            self._epoch, load, first, last, _mark_of(table, encoded if self.infers_columns else b""), format
        )
        with self._writing(f"table '{table}'"):
            if self._in_place:
                with self._rejecting(rows):
                    self._finals.ensure(self._target(table))
                self._objects.write(part, encoded)
                self._loads.load([part], self._target(table), part.label)
                self._objects.remove([part])
            else:
                self._staging.write(part, encoded, self._background)
        return True, None

    def landed(self, *, wait: bool) -> int:
        """With async_load: the last page whose load job is done."""
        if self._background is None:
            return super().landed(wait=wait)
        with self._writing(f"table '{self.default_destination_id}'"):
            return self._background.landed(wait=wait)

    def close(self) -> None:
        if self._background is not None:
            self._background.close()
        super().close()

    def _prepare_in_place(self, resume: "ResumePoint") -> None:
        """Also removes the objects that earlier runs have left in the bucket."""
        self._objects.begin(resume.job_created_us)
        super()._prepare_in_place(resume)
        with self._writing("objects of earlier runs"):
            self._objects.remove_older_jobs()
            self._objects.remove_earlier_starts(resume.epoch)

    def _open(self, resume: "ResumePoint") -> None:
        self._objects.begin(resume.job_created_us, resume.partition)
        super()._open(resume)

    def _take_over(self, resume: "ResumePoint") -> None:
        super()._take_over(resume)
        if self.config.async_load:
            per_job, at_once = self.config.load_files_per_job, self.config.load_max_in_flight_jobs
            self._background = BackgroundLoads(self._loads, lambda: self._staging.loaded, per_job, at_once)

    def _open_staging(self, wanted: "Target") -> ObjectStaging:
        staged = self._staged_target(wanted)
        written = self._target(self.default_destination_id).schema
        loaded = staged._replace(schema=narrowed(staged.schema, written))
        kind = PartOfObjects if self._is_part else ObjectStaging
        return kind(
            self._tables, self._loads, self._objects, self._claim, staged, loaded, like=self._final, epoch=self._epoch
        )

    def _staged_target(self, wanted: "Target") -> "Target":
        return wanted._replace(table_id=self.temp_table_id)

    def _encoded(self, table: str, rows: pl.DataFrame) -> tuple[str, bytes]:
        """The format and the content of the object of a batch."""
        if self._inferred is not None:
            with self._writing(f"table '{table}'"), self._rejecting(rows.height):
                return "json", lines(self._typed(self._inferred, table, rows))
        with self._rejecting(rows.height):
            content = self._content(table)
        return content.format, content.encode(rows)

    def _wait_for_loads(self) -> None:
        if self._background is not None:
            self._background.landed(wait=True)

    def _content(self, table: str) -> Content:
        if table not in self._contents:
            self._contents[table] = Content(self._declared.schema_of(table), self._target(table).schema)
        return self._contents[table]

    @cached_property
    def _contents(self) -> dict[str, Content]:
        return {}

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self._clients.storage, self.config.gcs_buffer_bucket, self.sync_metadata)

    @cached_property
    def _loads(self) -> Loads:
        return Loads(self._jobs, self._objects, self.sync_metadata.job_id)


def _mark_of(table: str, content: bytes) -> str:
    return hashlib.sha256(table.encode() + content).hexdigest()[:_MARK]
