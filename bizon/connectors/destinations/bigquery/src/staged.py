"""The protocol of destinations whose rows wait in a staging table until one job publishes them."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, FinalizeError
from bizon.connectors.destinations.bigquery.src.base import BigQueryFamilyDestination
from bizon.connectors.destinations.bigquery.src.claim import StagingClaim
from bizon.connectors.destinations.bigquery.src.client import HOW, writing
from bizon.connectors.destinations.bigquery.src.config import StagingDetails
from bizon.connectors.destinations.bigquery.src.jobs import Job
from bizon.connectors.destinations.bigquery.src.owners import Publication
from bizon.connectors.destinations.bigquery.src.publish import Staged, publishing
from bizon.connectors.destinations.bigquery.src.tables import Target
from bizon.destination.models import CommittedBatch, ResumePoint
from bizon.source.config import SourceSyncModes


class StagingTable(Protocol):
    """Where the rows of a job wait until they are published."""

    def prepare(self, resume: ResumePoint, like: bigquery.Table | None) -> None:
        """Make it hold the rows of the committed batches. ``like``: the final table."""

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """See that it holds them, and note which rows they are. Raises DestinationError."""

    def staged(self) -> Staged:
        """The rows that ``verify`` has found."""

    def remove(self) -> None:
        """They are published."""


class StagedDestination(BigQueryFamilyDestination):
    """In sync modes full_refresh and incremental. ``_published``: an earlier start has published the job."""

    config: StagingDetails
    _published = False
    _staging: Any  # a StagingTable, which each destination narrows

    @property
    def temp_table_id(self) -> str:
        """Where rows wait: ``staging_table``, else as for all; in sync mode stream, the table itself."""
        named = self.config.staging_table
        if named is None or self._is_stream:
            return super().temp_table_id
        beside = self.default_destination_id.rpartition(".")[0]
        return self.config.table_of(named) if "." in named else f"{beside}.{named}"

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: no dataset, no permission, no credentials, nowhere to stage."""
        super().check_connection()
        if not self._is_stream:
            if self.temp_table_id == self.default_destination_id:
                raise DestinationConnectionError(f"`staging_table` '{self.temp_table_id}' is the table of the pipeline")
            self._check_dataset(self.temp_table_id.rpartition(".")[0], make=False)
        return True

    def prepare(self, resume: ResumePoint) -> None:
        """Make staging hold exactly the committed rows. Raises DestinationError when that cannot be,
        DestinationConnectionError when staging or the table are somebody else's, and OvertakenError in a superseded
        start."""
        super().prepare(resume)
        if self._is_stream:
            return
        with writing("bigquery: staging"):
            final = self._tables.find(self.default_destination_id)
            if final is not None:
                self._finals.check(final)
                self._refuse_to_append_again(resume, final)
                self._tables.check_partitioning(final)
            wanted = self._wanted(final)
            self._staging = self._open_staging(wanted)
            self._claim.take(resume, self._staged_target(wanted), final)
            if resume.exhausted and self._jobs.is_done(self._publish_name):
                self._published = True
                return
            if final is not None:
                self._finals.claim(final)
            self._staging.prepare(resume, final)

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        """See that staging holds every committed batch, unless an earlier start has published them already."""
        if self._is_stream or self._published:
            return
        with writing("bigquery: staging"):
            self._claim.check()
            self._staging.verify(committed)

    def finalize(self) -> bool:
        """Put the staged rows into the table, once. Raises FinalizeError; the table is as it was then."""
        if self._is_stream:
            return True
        table = self.default_destination_id
        try:
            with writing(f"bigquery: table '{table}'"):
                if not self._published:
                    self._publish()
                    self._published = True
                self._finals.mark(table, Publication(self._created_us, self.sync_metadata.job_id))
                self._staging.remove()
        except DestinationError as error:
            raise FinalizeError(
                f"'{table}' was not replaced: {error}; all rows are staged, run again to publish them"
            ) from error
        return True

    @property
    def _publish_name(self) -> str:
        """What the job that publishes is called."""
        return f"bizon_{self.sync_metadata.job_id}_publish"

    @cached_property
    def _claim(self) -> StagingClaim:
        return StagingClaim(self._clients.bigquery, self._tables, self._owner, self._knows, self.temp_table_id)

    def _publish(self) -> None:
        """Replace the table by the staged rows, or append them, by one job. Raises OvertakenError when another start
        has taken over: the job has done nothing then."""
        staged, wanted = self._staging.staged(), self._wanted(None)
        final = self._finals.claimed(wanted)
        self._tables.widen(final, staged.schema)
        replaces = self._mode is SourceSyncModes.FULL_REFRESH
        script = self._claim.fenced(publishing(self.default_destination_id, staged, replaces=replaces))
        how = bigquery.QueryJobConfig(query_parameters=staged.parameters)

        def start(job_id: str) -> Job:
            return self._clients.bigquery.query(script, job_config=how, job_id=job_id, job_retry=None, **HOW)

        try:
            self._jobs.done(self._publish_name, start)
        except DestinationError:
            self._claim.check()
            raise

    @abstractmethod
    def _open_staging(self, wanted: Target) -> StagingTable:
        """The staging of this job; nothing is changed. ``wanted``: the table once it is published."""

    @abstractmethod
    def _staged_target(self, wanted: Target) -> Target:
        """The staging table as it is to be."""
