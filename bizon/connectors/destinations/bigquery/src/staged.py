"""The protocol of destinations whose rows wait in a staging table until one job publishes them."""

from abc import abstractmethod

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationError, FinalizeError
from bizon.connectors.destinations.bigquery.src.base import BigQueryFamilyDestination
from bizon.connectors.destinations.bigquery.src.client import writing
from bizon.connectors.destinations.bigquery.src.tables import Target
from bizon.engine.pipeline.models import ResumePoint
from bizon.source.config import SourceSyncModes


class StagedDestination(BigQueryFamilyDestination):
    """In sync modes full_refresh and incremental. ``_published``: an earlier start has published the job."""

    _published = False
    _epoch = 1

    def prepare(self, resume: ResumePoint) -> None:
        """Make staging hold exactly the committed rows. Raises DestinationError when that cannot be."""
        self._epoch = resume.epoch
        if self._is_stream:
            return
        with writing("bigquery: staging"):
            final = self._tables.find(self.default_destination_id)
            self._open_staging(self._wanted(final))
            if resume.exhausted and self._jobs.is_done(self._publish_name):
                self._published = True
                return
            if final is not None:
                self._refuse_to_append_again(resume, final)
                self._tables.check_partitioning(final)
            self._prepare_staging(resume, final)

    def finalize(self) -> bool:
        """Put the staged rows into the table, once. Raises FinalizeError; the table is as it was then."""
        if self._is_stream:
            return True
        table = self.default_destination_id
        try:
            with writing(f"bigquery: table '{table}'"):
                if not self._published:
                    self._publish(append=self._mode is SourceSyncModes.INCREMENTAL)
                    self._published = True
                self._tables.claim(table)
                self._remove_staging()
        except DestinationError as error:
            raise FinalizeError(
                f"'{table}' was not replaced: {error}; all rows are staged, run again to publish them"
            ) from error
        return True

    @property
    def _publish_name(self) -> str:
        """What the job that publishes is called."""
        return f"bizon_{self.sync_metadata.job_id}_publish"

    @abstractmethod
    def _open_staging(self, wanted: Target) -> None:
        """Know the staging of this job; nothing is changed. ``wanted``: the table once it is published."""

    @abstractmethod
    def _prepare_staging(self, resume: ResumePoint, final: bigquery.Table | None) -> None:
        """Make it hold exactly the committed rows."""

    @abstractmethod
    def _publish(self, *, append: bool) -> None:
        """Replace the table by the staged rows, or append them, by the job ``_publish_name``."""

    @abstractmethod
    def _remove_staging(self) -> None:
        """The rows are published."""
