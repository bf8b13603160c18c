"""Staging of a job: the objects in the bucket are the truth; a table holds their rows and is published.

The receipt of each batch names its object and its checksum. A load job appends an object to the staging table. A run
that dies between the load and its checkpoint leaves rows there that no checkpoint vouches for, and a frozen run may add
some later. Then the number of rows differs from the receipts, and the table is rebuilt from the objects that the
receipts name. Load jobs cost nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationError
from bizon.common.safe_log import logger
from bizon.connectors.destinations.bigquery.src.parts import Part, Stored, part_of
from bizon.connectors.destinations.bigquery.src.publish import Staged
from bizon.destination.receipts import differs, not_verified, parts_that_count

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.background_loads import BackgroundLoads
    from bizon.connectors.destinations.bigquery.src.claim import StagingClaim
    from bizon.connectors.destinations.bigquery.src.loads import Loads
    from bizon.connectors.destinations.bigquery.src.objects import Objects
    from bizon.connectors.destinations.bigquery.src.tables import Tables, Target
    from bizon.destination.models import CommittedBatch, ResumePoint

_URIS_AT_ONCE = 10_000  # what one load job takes


class ObjectStaging:
    """The staging table of one job, ``target``. ``loaded``: the same with only the columns of the objects. ``like``:
    the final table. ``epoch``: of this start."""

    def __init__(
        self,
        tables: "Tables",
        loads: "Loads",
        objects: "Objects",
        claim: "StagingClaim",
        target: "Target",
        loaded: "Target",
        like: bigquery.Table | None,
        epoch: int,
    ) -> None:
        self._tables = tables
        self._loads = loads
        self._objects = objects
        self._claim = claim
        self.target = target
        self.loaded = loaded
        self._like = like
        self._receipt: dict[str, Any] | None = None
        self._rows: int | None = None
        self._epoch = epoch
        self._rebuilds = 0

    def trim(self, resume: "ResumePoint", like: bigquery.Table | None) -> None:
        """Make the table hold exactly the committed rows. Raises DestinationError when some are missing."""
        self._objects.remove_older_jobs()
        parts = self._checked(resume.committed)
        names = {part.name for part in parts}
        torn = [part for part in self._objects.parts() if part.epoch < resume.epoch and part.name not in names]
        for part in torn:
            self._loads.was_loaded(part)  # a load that is running now would land later
        self._objects.remove(torn)
        if resume.last_iteration is None:
            if not self._claim.is_new:
                self._claim.replace(self.target, like)
        elif self._fill(parts, sum(batch.rows for batch in resume.committed)) and (
            there := self._tables.find(self.target.table_id)
        ):
            self._fit(there)  # by columns that the final table has gained since

    def columns(self) -> Sequence[bigquery.SchemaField]:
        """Its columns as of now."""
        found: Sequence[bigquery.SchemaField] = self._tables.get(self.target.table_id).schema
        return found

    def grow(self, table: "Target", published: "Target") -> None:
        """Give it the columns that the next rows need. Loads under way have to be done."""
        self.target = table
        self._fit(self._tables.get(table.table_id))

    def write(self, part: Part, content: bytes, background: "BackgroundLoads | None") -> None:
        """Add the rows of a batch; returns once they are in the table or, with ``background``, in the bucket."""
        self._store(part, content)
        if background is None:
            self._loads.load([part], self.loaded, part.label)
        else:
            background.add(part)

    def receipt(self) -> Mapping[str, Any] | None:
        """The receipt of the last write."""
        return self._receipt

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Check that the object of every committed batch is in the bucket, unchanged, and that the table holds their
        rows; rebuild the table if it does not. Raises DestinationError."""
        self._claim.check()
        rows = sum(batch.rows for batch in committed)
        self._fill(self._checked(committed), rows)
        self._rows = rows

    def staged(self) -> Staged:
        """All rows of the table."""
        if self._rows is None:
            raise not_verified()
        schema = self._tables.columns(self.target) if self.target.infers else self.target.schema
        return Staged(self.target.table_id, schema, self._rows)

    def remove(self) -> None:
        """Remove the table and the objects: the rows are published. Frozen workers of older jobs may have added
        some."""
        self._claim.remove()
        self._objects.remove_job()
        self._objects.remove_older_jobs()

    def _store(self, part: Part, content: bytes) -> None:
        stored = self._objects.write(part, content)
        self._receipt = {"object": part.name, "bytes": stored.size, "crc32c": stored.crc32c}

    def _fit(self, there: bigquery.Table) -> None:
        self._tables.fit(there, self.target)
        self._look_at_columns()

    def _look_at_columns(self) -> None:
        """A load job has to name the types that the table has, which may be wider than those that are needed."""
        if self.target.infers:
            self.loaded = self.target._replace(schema=self._tables.columns(self.target))

    def _checked(self, committed: Sequence["CommittedBatch"]) -> list[Part]:
        """The objects of the batches, in page order."""
        parts = parts_that_count(committed, _located, self.target.table_id)
        there = self._objects.stored() if parts else {}
        for batch, part in parts:
            found, receipt = there.get(part.name), batch.receipt or {}
            if found is None:
                raise differs(batch, f"object '{part.name}' is missing from the bucket")
            if found != Stored(receipt.get("bytes"), receipt.get("crc32c")):
                raise differs(batch, f"object '{part.name}' was changed: its checksum differs")
        return [part for _, part in parts]

    def _fill(self, parts: Sequence[Part], rows: int) -> bool:
        """Make the table hold these objects and nothing else. Returns whether it did so already."""
        table = self.target.table_id
        if self._tables.count(table) == rows:
            return True
        logger.debug(f"staging table '{table}' is rebuilt from {len(parts)} objects")
        self._rebuilds += 1
        self._claim.replace(self.target, self._like)
        self._look_at_columns()
        for format in dict.fromkeys(part.format for part in parts):
            uris = [part for part in parts if part.format == format]
            for first in range(0, len(uris), _URIS_AT_ONCE):
                label = f"{self._epoch}_again_{self._rebuilds}_{format}_{first}"
                self._loads.load(uris[first : first + _URIS_AT_ONCE], self.loaded, label)
        found = self._tables.count(table)
        if found != rows:
            raise DestinationError(
                f"{rows:,} rows were committed, but '{table}' holds {found or 0:,} after it was loaded from their "
                f"objects: is another run writing? Run again, or with --fresh to fetch everything again"
            )
        return False


def _located(receipt: Mapping[str, Any]) -> Part:
    part = part_of(str(receipt["object"]))
    if part is None:
        raise ValueError(receipt["object"])
    return part
