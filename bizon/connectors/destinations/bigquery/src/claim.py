"""The staging table as the fence between starts of a pipeline.

Several starts may believe that staging is theirs: one that was frozen, and the one that has taken over from it. Labels
of the staging table name the right one: a start claims the table with its fence (``ResumePoint.fence``) before it does
anything else, and BigQuery refuses a change of labels when another start has changed them first (ETag). The workers of
a joined job claim it alike, for the job (``ResumePoint.of_job``).

A script removes the table, or publishes from it, and compares the label first: the script of a start that wakes up too
late does nothing. BigQuery compares and acts in one job.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from google.api_core import exceptions
from google.cloud import bigquery

from bizon.common.errors.errors import DestinationConnectionError, DestinationError, OvertakenError
from bizon.connectors.destinations.bigquery.src.owner_labels import STAGING, Knows, label_of
from bizon.connectors.destinations.bigquery.src.tables import Tables, Target, attempts

if TYPE_CHECKING:
    from bizon.destination.models import Owner, ResumePoint

_FENCE, _JOB = "bizon_fence", "bizon_job"
_OPTIONS = "INFORMATION_SCHEMA.TABLE_OPTIONS"


class StagingClaim:
    """The claim of one start to the staging table ``table_id``."""

    def __init__(self, tables: Tables, owner: "Owner", knows: Knows, table_id: str) -> None:
        self.table_id = table_id
        self._tables = tables
        self._owner = owner
        self._knows = knows
        self._job_id = ""
        self._fence = (0, 0)
        self.is_new = False

    def take(self, resume: "ResumePoint", target: Target, like: bigquery.Table | None, *, afresh: bool = False) -> None:
        """Claim the table; create it if there is none (``is_new``), partitioned like ``like``. ``afresh``: recreate one
        of an older job, for a claim that others of this job share: it cannot be emptied once they write.

        Raises DestinationConnectionError for any other table than staging of this pipeline, and OvertakenError in a
        superseded start.
        """
        self._job_id, self._fence = resume.job_id, resume.fence
        for _ in attempts():
            found = self._tables.find(self.table_id)
            if found is None:
                self.is_new = self._make(target, like)
                if self.is_new:
                    return
                continue
            self._check_owner(found)
            if self._is_superseded_by(found):
                raise OvertakenError(self._job_id)
            if self._is_mine(found):
                return
            if afresh and _FENCE in found.labels:
                self._drop(found)
                continue
            with suppress(exceptions.NotFound):
                if self._tables.relabel(found, self._labels) is not None:
                    return  # else another start was faster
        raise self._contested()

    def check(self) -> None:
        """Raise OvertakenError when another start has claimed the table."""
        found = self._tables.find(self.table_id)
        if found is not None and not self._is_mine(found):
            raise OvertakenError(self._job_id)

    def fenced(self, script: str) -> str:
        """A script that does nothing, and fails, unless the table is claimed by this start."""
        return self._fenced_by(self._labels[_FENCE], script)

    def _fenced_by(self, fence: str, script: str) -> str:
        project, dataset, name = self.table_id.rsplit(".", 2)
        label = f'"{_FENCE}", "{fence}"'
        return (
            f"ASSERT EXISTS (SELECT 1 FROM `{project}.{dataset}`.{_OPTIONS} WHERE table_name = '{name}' "
            f"AND option_name = 'labels' AND STRPOS(option_value, '{label}') > 0) "
            f"AS 'staging is claimed by another start, or gone'; {script}"
        )

    def replace(self, target: Target, like: bigquery.Table | None) -> None:
        """Replace the table with an empty one. Raises OvertakenError in a superseded start."""
        self.remove()
        if not self._make(target, like):
            self.check()
            raise self._contested()

    def remove(self) -> None:
        """Remove the table. Raises OvertakenError in a superseded start."""
        script = self.fenced(f"DROP TABLE IF EXISTS `{self.table_id}`;")
        refused: Exception | None = None
        for _ in attempts():
            found = self._tables.find(self.table_id)
            if found is None:
                return
            if not self._is_mine(found):
                raise OvertakenError(self._job_id)
            try:
                self._tables.query(script)
            except exceptions.BadRequest as error:  # claimed since, or removed by a request whose answer was lost
                refused = error
                continue
            return
        raise self._contested() from refused

    def _drop(self, found: bigquery.Table) -> None:
        """Remove the table of an older start, unless somebody claims it meanwhile."""
        script = self._fenced_by(found.labels[_FENCE], f"DROP TABLE IF EXISTS `{self.table_id}`;")
        with suppress(exceptions.BadRequest):
            self._tables.query(script)

    @property
    def _labels(self) -> dict[str, str]:
        created_us, epoch = self._fence
        fence = f"{created_us:016d}-{epoch:06d}"
        return {STAGING: self._owner.mark, _FENCE: fence, _JOB: label_of(self._job_id)}

    def _make(self, target: Target, like: bigquery.Table | None) -> bool:
        words = f"Rows of {self._owner} that are not published yet"
        try:
            self._tables.make(target, like, self._labels, words, exists_ok=False)
        except exceptions.Conflict:
            return False
        return True

    def _check_owner(self, found: bigquery.Table) -> None:
        if found.labels.get(STAGING) == self._owner.mark:
            return
        if STAGING in found.labels:
            whose = f"is the staging table of another pipeline ({found.description})"
        else:
            whose = "is not a staging table of this pipeline: it is somebody else's, or an older release left it"
        raise DestinationConnectionError(
            f"table '{self.table_id}', where rows would wait until they are published, {whose}; nothing was changed. "
            f"Give this pipeline another one by `staging_table`, or drop the table if nobody needs it"
        )

    def _is_mine(self, found: bigquery.Table) -> bool:
        return all(found.labels.get(name) == value for name, value in self._labels.items())

    def _is_superseded_by(self, found: bigquery.Table) -> bool:
        if _fence_of(found) <= self._fence:
            return False
        job = found.labels.get(_JOB, "")
        return job == label_of(self._job_id) or self._knows(job)

    def _contested(self) -> DestinationError:
        return DestinationError(f"staging table '{self.table_id}' keeps being changed by others")


def _fence_of(table: bigquery.Table) -> tuple[int, int]:
    created, _, epoch = table.labels.get(_FENCE, "").partition("-")
    return (int(created), int(epoch)) if created.isdecimal() and epoch.isdecimal() else (0, 0)
