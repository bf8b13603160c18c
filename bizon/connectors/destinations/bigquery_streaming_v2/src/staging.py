"""Staging of a job: a table whose rows say which batch they came with, and a query that publishes those that count.

Each try of a write has a mark of its own, ``<epoch>-<try>-<from>-<to>``: the start of the job that wrote it, and the
pages. Rows of a try that failed half-way, of a batch that was torn by a crash, or of a start that was overtaken and did
not know it, stay in the table and are never chosen. Of the batches that begin at a page that of the last start counts,
and of its tries the last.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.batches import each_page_once
from bizon.connectors.destinations.bigquery.src.client import HOW
from bizon.connectors.destinations.bigquery.src.jobs import Job, Jobs
from bizon.connectors.destinations.bigquery.src.publish import appending, columns_of, replacing
from bizon.connectors.destinations.bigquery.src.tables import Tables, Target
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import BATCH
from bizon.engine.pipeline.models import ResumePoint

_MARK = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)")


class Written(NamedTuple):
    """Rows of one try in the staging table."""

    first: int
    last: int
    epoch: int
    attempt: int
    rows: int
    mark: str


class MarkedStaging:
    """The staging table of a job. ``target``: the table that is published; ``name``: of the job that publishes it."""

    def __init__(
        self, client: bigquery.Client, tables: Tables, jobs: Jobs, table_id: str, target: Target, name: str
    ) -> None:
        self._client = client
        self._tables = tables
        self._jobs = jobs
        self._target = target
        self._name = name
        self._rows = 0
        self._attempts = 0
        self.table = Target(table_id, [*target.schema, SchemaField(BATCH, "STRING")], None)

    def prepare(self, resume: ResumePoint, like: bigquery.Table | None) -> None:
        """Begin with an empty table, partitioned as another one is, or go on with the one that is there."""
        self._rows = resume.rows_written
        if resume.last_iteration is None:
            self._tables.remove(self.table.table_id)
            self._tables.make(self.table, like)
            return
        there = self._tables.find(self.table.table_id)
        if there is None:
            raise _missing(self._rows, 0)
        self._tables.widen(there, self.table.schema)  # by the columns that the final table has got since

    def mark(self, epoch: int, first: int, last: int) -> str:
        """Of the next try of a write."""
        self._attempts += 1
        return f"{epoch}-{self._attempts}-{first}-{last}"

    def wrote(self, rows: int) -> None:
        """The last try succeeded."""
        self._rows += rows

    def publish(self, *, append: bool) -> None:
        """Put the rows that count into the place of the table, or append them, once. Raises DestinationError."""
        chosen = committed(self._written())
        found = sum(each.rows for each in chosen)
        if found != self._rows:
            raise _missing(self._rows, found)
        final = self._tables.find(self._target.table_id)
        if final is None:
            self._tables.make(self._target, None)
        else:
            self._tables.widen(final, self._target.schema)
        columns = columns_of(self._target.schema)
        rows = f"SELECT {columns} FROM `{self.table.table_id}` WHERE `{BATCH}` IN UNNEST(@marks)"
        query = (appending if append else replacing)(self._target.table_id, columns, rows)
        marks = bigquery.ArrayQueryParameter("marks", "STRING", [each.mark for each in chosen])
        config = bigquery.QueryJobConfig(query_parameters=[marks])

        def start(job_id: str) -> Job:
            return self._client.query(query, job_config=config, job_id=job_id, job_retry=None, **HOW)

        self._jobs.done(self._name, start)

    def remove(self) -> None:
        """The rows are published."""
        self._tables.remove(self.table.table_id)

    def _written(self) -> Iterable[Written]:
        query = f"SELECT `{BATCH}` AS mark, COUNT(*) AS n FROM `{self.table.table_id}` GROUP BY 1"
        for row in self._client.query(query, **HOW).result():
            found = _MARK.fullmatch(row["mark"] or "")
            if found is not None:
                epoch, attempt, first, last = map(int, found.groups())
                yield Written(first, last, epoch, attempt, int(row["n"]), row["mark"])


def committed(written: Iterable[Written]) -> list[Written]:
    """The tries that hold the pages of a job, each page once; pages without rows are in none."""
    return each_page_once(sorted(written, key=lambda each: (each.first, -each.epoch, -each.attempt)))


def _missing(wanted: int, found: int) -> DestinationError:
    return DestinationError(
        f"{wanted:,} rows were committed, but staging holds {found:,}: did somebody change it? Run again with --fresh"
    )
