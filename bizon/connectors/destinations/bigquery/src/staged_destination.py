"""The BigQuery destinations that stage: rows wait in a staging table until one job publishes them."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, OvertakenError
from bizon.connectors.destinations.bigquery.src.base import BigQueryFamilyDestination
from bizon.connectors.destinations.bigquery.src.claim import StagingClaim
from bizon.connectors.destinations.bigquery.src.publish import Staged, publishing
from bizon.destination.models import CommittedBatch, ResumePoint, WriteMode
from bizon.destination.staged import StagedDestination, Staging, Step

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import StagingDetails
    from bizon.connectors.destinations.bigquery.src.inferred_tables import InferredTables
    from bizon.connectors.destinations.bigquery.src.tables import Target
    from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows

_TRIES = 5  # of a batch, while other parts add columns, too


class StagingTable(Staging, Protocol):
    """Where the rows of a job wait until they are published."""

    def trim(self, resume: ResumePoint, like: bigquery.Table | None) -> None:
        """Make it hold the rows of the committed batches. ``like``: the final table."""

    def columns(self) -> Sequence[SchemaField]:
        """Its columns as of now."""

    def grow(self, table: "Target", published: "Target") -> None:
        """Give it the columns that the next rows need. ``table``: as it should be. ``published``: the final table, once
        the rows are published."""

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """Check that it holds them, and note which rows they are. Raises DestinationError."""

    def staged(self) -> Staged:
        """The rows that ``verify`` has found."""

    def remove(self) -> None:
        """Remove them: they are published."""


class BigQueryStagedDestination(StagedDestination, BigQueryFamilyDestination):
    """In sync modes full_refresh and incremental, rows wait in a staging table. Its labels are the fence, see
    ``claim.py``. One BigQuery job publishes, and is done once. The parts of a joined job share the staging table; their
    receipts tell their rows apart."""

    config: "StagingDetails"
    single_writer = False
    _staging: StagingTable
    _final: bigquery.Table | None = None
    _published = False
    _is_behind = False  # staging lacks columns of the last batch
    _is_part = False  # other workers stage, too

    @property
    def temp_table_id(self) -> str:
        """Where rows wait: ``staging_table``, else the default of the family; in sync mode stream, the table itself."""
        named = self.config.staging_table
        if named is None or self._in_place:
            return super().temp_table_id
        dataset = self.default_destination_id.rpartition(".")[0]
        return self.config.table_of(named) if "." in named else f"{dataset}.{named}"

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: no dataset, no permission, no credentials, nowhere to stage."""
        super().check_connection()
        if not self._in_place:
            if self.temp_table_id == self.default_destination_id:
                raise DestinationConnectionError(f"`staging_table` '{self.temp_table_id}' is the table of the pipeline")
            self._check_dataset(self.temp_table_id.rpartition(".")[0], make=False)
        return True

    @property
    def _place(self) -> str:
        return self.default_destination_id

    def _prepare_in_place(self, resume: ResumePoint) -> None:
        BigQueryFamilyDestination.prepare(self, resume)

    def _open(self, resume: ResumePoint) -> None:
        BigQueryFamilyDestination.prepare(self, resume)
        self._final = self._tables.find(self.default_destination_id)
        if self._final is not None:
            self._finals.check(self._final)

    def _has_own_rows(self) -> bool:
        return self._final is not None and self._labels.has_rows_in(self._final)

    def _take_over(self, resume: ResumePoint) -> None:
        self._claim.take(resume, self._staged_target(self._begun(resume)), self._final)
        is_complete = resume.exhausted or resume.parts > 0
        self._published = is_complete and self._jobs.is_done(self._publish_name)

    def _take_part(self, resume: ResumePoint) -> None:
        published = None if self._final is None else self._labels.publication(self._final)
        is_late = published is not None and published.created_us >= resume.job_created_us
        if published is not None and is_late and self._knows(published.job_id):
            raise OvertakenError(resume.job_id)
        self._is_part = True
        self._claim.take(resume.of_job, self._staged_target(self._begun(resume)), self._final, afresh=True)

    def _begun(self, resume: ResumePoint) -> "Target":
        """Open staging. Returns the table once it is published."""
        if self._final is not None:
            self._tables.check_partitioning(self._final)
        if self._inferred is not None:
            self._inferred.see(self.default_destination_id, self._final, resume.committed)
        wanted = self._wanted(self._final)
        self._staging = self._open_staging(wanted)
        return wanted

    def _is_published(self) -> bool:
        return self._published

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        self._claim.check()
        yield

    def _trim(self, resume: ResumePoint) -> None:
        if self._final is not None and not self._is_part:
            self._finals.claim(self._final)
        self._staging.trim(resume, self._final)

    def _publish(self, mode: WriteMode) -> None:
        """Publish by one job, which does nothing if another start has claimed staging."""
        staged, wanted = self._staging.staged(), self._wanted(None)
        final = self._finals.claimed(wanted)
        self._tables.fit(final, wanted._replace(schema=staged.schema))
        replaces = mode is WriteMode.REPLACE
        script = self._claim.fenced(publishing(self.default_destination_id, staged, replaces=replaces))
        self._jobs.run(self._publish_name, script, staged.parameters)
        self._published = True

    def receipt(self) -> Mapping[str, Any] | None:
        """With the columns that the batch has added or widened."""
        found = super().receipt()
        if found is None or self._inferred is None:
            return found
        return {**found, **self._inferred.receipt(self.default_destination_id)}

    def _typed(self, inferred: "InferredTables", table: str, rows: pl.DataFrame) -> "TypedRows":
        if self._in_place:
            return super()._typed(inferred, table, rows)
        inferred.begin_batch(self.batch)
        for left in reversed(range(_TRIES if self._is_part else 1)):
            known = inferred.followed(table, self._staging.columns()) if self._is_part else None
            found = inferred.typed(table, rows, self._staging.columns)
            self._is_behind |= found.grows
            try:
                self._grow()
                break
            except DestinationError:  # another part has just added a column of this name, of another type
                if known is None or not left:
                    raise
                inferred.go_back(table, known)
        return found

    def _grow(self) -> None:
        if self._is_behind:
            self._wait_for_loads()
            wanted = self._wanted(self._final)
            self._staging.grow(self._staged_target(wanted), wanted)
            self._is_behind = False

    def _wait_for_loads(self) -> None:
        """Wait for the load jobs in flight, before staging gets other columns. For destinations that load in the
        background."""

    def _note_published(self) -> None:
        self._mark_published()

    def _discard(self) -> None:
        self._staging.remove()

    def _explained(self, step: Step) -> AbstractContextManager[None]:
        return self._writing(f"table '{self._place}'" if step is Step.PUBLISH else "staging")

    @property
    def _publish_name(self) -> str:
        """Name of the job that publishes."""
        return f"bizon_{self.sync_metadata.job_id}_publish"

    @cached_property
    def _claim(self) -> StagingClaim:
        owner = self.sync_metadata.owner
        return StagingClaim(self._tables, owner, self._knows, self.temp_table_id)

    @abstractmethod
    def _open_staging(self, wanted: "Target") -> StagingTable:
        """The staging of this job; changes nothing. ``wanted``: the table once it is published."""

    @abstractmethod
    def _staged_target(self, wanted: "Target") -> "Target":
        """The staging table as it should be."""
