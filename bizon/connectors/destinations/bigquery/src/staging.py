"""Staging of a job: objects in the bucket are the truth, a table holds what they hold, and is published.

A load job appends an object to the staging table. A run that dies between the load and its checkpoint leaves rows
there that no checkpoint vouches for, and a run that was frozen may add some later: then the rows are not as many as
the state says, and the table is made anew from the objects that count (``objects.py``). Load jobs cost nothing.
"""

from collections.abc import Sequence

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField
from loguru import logger

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.loads import Loads, LoadsAside
from bizon.connectors.destinations.bigquery.src.objects import Objects, Part, committed
from bizon.connectors.destinations.bigquery.src.tables import Tables, Target
from bizon.engine.pipeline.models import ResumePoint

_URIS_AT_ONCE = 10_000  # what one load job takes


class Staging:
    """The staging table of one job. ``target`` is that table; ``loaded``: with the columns that objects have; ``like``:
    it is partitioned as this one is."""

    def __init__(self, tables: Tables, loads: Loads, objects: Objects, target: Target, loaded: Target) -> None:
        self._tables = tables
        self._loads = loads
        self._objects = objects
        self.target = target
        self.loaded = loaded
        self._like: bigquery.Table | None = None
        self._parts: dict[str, Part] = {}
        self._rows = 0
        self._epoch = 1
        self._rebuilds = 0

    def prepare(self, resume: ResumePoint, like: bigquery.Table | None) -> None:
        """Hold exactly the committed rows. Raises DestinationError when some are gone."""
        self._like, self._epoch, self._rows = like, resume.epoch, resume.rows_written
        self._objects.remove_other_jobs()
        found = self._objects.parts()
        kept = committed(found, resume.last_iteration)
        torn = [part for part in found if part not in kept]
        for part in torn:
            self._loads.was_loaded(part)  # what is at work now would land later
        self._objects.remove(torn)
        self._parts = {part.name: part for part in kept}
        if resume.last_iteration is None:
            self._empty()
        elif self._count() != self._rows:
            self._rebuild()
        else:
            self.widen(self.target.schema)

    def write(self, part: Part, content: bytes, rows: int, aside: LoadsAside | None) -> None:
        """Add the rows of a batch; returns once they are in the table, or with ``aside``, in the bucket."""
        self._objects.write(part, content)
        if aside is None:
            self._loads.load([part], self.loaded, part.label)
        else:
            aside.add(part)
        self._rows += 0 if part.name in self._parts else rows
        self._parts[part.name] = part

    def check(self) -> None:
        """See that the table holds the rows that were committed, or make it anew. Raises DestinationError."""
        if self._count() != self._rows:
            self._rebuild()

    def widen(self, schema: Sequence[SchemaField]) -> None:
        """Add the columns that the final table has got since: what is published has the same ones."""
        there = self._tables.find(self.target.table_id)
        if there is not None:
            self._tables.widen(there, schema)

    def remove(self) -> None:
        """Remove the table and the objects: the rows are published."""
        self._tables.remove(self.target.table_id)
        self._objects.remove_job()

    def _empty(self) -> None:
        self._tables.remove(self.target.table_id)
        self._tables.make(self.target, self._like)

    def _count(self) -> int | None:
        table = self._tables.find(self.target.table_id)
        return None if table is None else int(table.num_rows or 0)

    def _rebuild(self) -> None:
        logger.debug(f"staging table '{self.target.table_id}' is made anew from {len(self._parts)} objects")
        self._rebuilds += 1
        self._empty()
        for format in {part.format for part in self._parts.values()}:
            parts = [part for part in self._parts.values() if part.format == format]
            for first in range(0, len(parts), _URIS_AT_ONCE):
                label = f"{self._epoch}_again_{self._rebuilds}_{format}_{first}"
                self._loads.load(parts[first : first + _URIS_AT_ONCE], self.loaded, label)
        found = self._count()
        if found != self._rows:
            raise DestinationError(
                f"{self._rows:,} rows were committed, but the objects of the job hold {found:,}: were some removed "
                f"from the bucket? Run again with --fresh"
            )
