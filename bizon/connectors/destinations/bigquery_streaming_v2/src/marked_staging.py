"""Staging of a job: a table whose rows carry the mark of the write that brought them.

Each try of a write has its own mark, ``<job>-<epoch>-<try>``: a digest of the job's id, the start of the job that wrote
it, and the number of the try. In a joined job it is ``<job>-p<part>-<epoch>-<try>``, with the epoch of the part. The
receipt of each batch is the mark of the try that succeeded, and only rows with these marks are published. Rows of a try
that failed half-way, of a batch torn by a crash, of an abandoned job, or of a superseded start stay in the table and
are never selected. So the table is replaced only when its columns no longer fit the job, and never by the worker of a
part.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.publish import Staged
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import BATCH
from bizon.destination.receipts import differs, not_verified, parts_that_count

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.claim import StagingClaim
    from bizon.connectors.destinations.bigquery.src.tables import Tables, Target
    from bizon.destination.models import CommittedBatch, ResumePoint

_DIGEST = 12  # hex digits of a job's id in a mark
_WHERE = f"`{BATCH}` IN UNNEST(@marks)"


class MarkedStaging:
    """The staging table of a job, ``table``. ``published``: the table that receives its rows."""

    def __init__(self, tables: "Tables", claim: "StagingClaim", table: "Target", published: "Target") -> None:
        self._tables = tables
        self._claim = claim
        self._published = published
        self._start = ""
        self._attempts = 0
        self._staged: Staged | None = None
        self.table = table

    def trim(self, resume: "ResumePoint", like: bigquery.Table | None) -> None:
        """Check that the committed rows are there; other rows do not matter. Raises DestinationError."""
        part = "" if resume.partition is None else f"p{resume.partition}-"
        self._start = f"{hashlib.sha256(resume.job_id.encode()).hexdigest()[:_DIGEST]}-{part}{resume.epoch}"
        self._check(resume.committed)
        there = self._tables.find(self.table.table_id)
        if there is None or self._claim.is_new:
            return
        try:
            self._tables.fit(there, self.table)  # by columns that the final table has gained since
        except DestinationError:
            if resume.last_iteration is not None or resume.partition is not None:
                raise
            self._claim.replace(self.table, like)

    def columns(self) -> Sequence[bigquery.SchemaField]:
        """Its columns as of now."""
        found: Sequence[bigquery.SchemaField] = self._tables.get(self.table.table_id).schema
        return found

    def grow(self, table: "Target", published: "Target") -> None:
        """Give it the columns that the next rows need."""
        self.table, self._published = table, published
        self._tables.fit(self._tables.get(table.table_id), table)

    def new_mark(self) -> str:
        """The mark of the next try of a write."""
        self._attempts += 1
        return self._mark

    def receipt(self) -> Mapping[str, Any]:
        """The receipt of the last write."""
        return {"mark": self._mark}

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Check that the rows of every committed batch are there, and note their marks. Raises DestinationError."""
        self._claim.check()
        marks = self._check(committed)
        rows = sum(batch.rows for batch in committed)
        published = self._published._replace(table_id=self.table.table_id)
        self._staged = Staged(
            self.table.table_id,
            self._tables.columns(published) if published.infers else published.schema,
            rows,
            _WHERE,
            [ArrayQueryParameter("marks", "STRING", marks)],
        )

    def staged(self) -> Staged:
        """The rows of the committed batches."""
        if self._staged is None:
            raise not_verified()
        return self._staged

    def remove(self) -> None:
        """Remove the table: its rows are published."""
        self._claim.remove()

    @property
    def _mark(self) -> str:
        return f"{self._start}-{self._attempts}"

    def _check(self, committed: Sequence["CommittedBatch"]) -> list[str]:
        """The marks of the batches, once all their rows are found."""
        seen: set[str] = set()

        def located(receipt: Mapping[str, Any]) -> str:
            mark = receipt["mark"]
            if not isinstance(mark, str) or mark in seen:
                raise ValueError(mark)
            seen.add(mark)
            return mark

        batches = {mark: batch for batch, mark in parts_that_count(committed, located, self.table.table_id)}
        found = self._counts(list(batches)) if batches else {}
        for mark, batch in batches.items():
            if found.get(mark, 0) != batch.rows:
                raise differs(batch, f"'{self.table.table_id}' holds {found.get(mark, 0):,} of them")
        return list(batches)

    def _counts(self, marks: list[str]) -> dict[str, int]:
        query = f"SELECT `{BATCH}` AS mark, COUNT(*) AS n FROM `{self.table.table_id}` WHERE {_WHERE} GROUP BY 1"
        rows = self._tables.query(query, [ArrayQueryParameter("marks", "STRING", marks)])
        return {row["mark"]: int(row["n"]) for row in rows}
