"""Final tables: created, claimed for a pipeline, and marked with the job that published them."""

from typing import TYPE_CHECKING

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationError, OvertakenError
from bizon.connectors.destinations.bigquery.src.foreign_rows import check_final
from bizon.connectors.destinations.bigquery.src.tables import Tables, Target, attempts

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.owner_labels import Knows, OwnerLabels, Publication


class FinalTables:
    """The final tables of one run. ``replaces``: a publication replaces their rows, else it appends.

    ``prepare`` sets ``adopt``: tables with rows that this pipeline did not write are taken over.
    """

    def __init__(self, tables: Tables, labels: "OwnerLabels", knows: "Knows", *, replaces: bool) -> None:
        self._tables = tables
        self._labels = labels
        self._knows = knows
        self._replaces = replaces
        self._ensured: set[str] = set()
        self.adopt = False

    def check(self, table: bigquery.Table) -> None:
        """Raise DestinationConnectionError for a table that this pipeline must not write."""
        check_final(table, self._labels, replaces=self._replaces, adopt=self.adopt)

    def claim(self, table: bigquery.Table) -> bigquery.Table:
        """Check an existing table, and label it as written by this pipeline."""
        for _ in attempts():
            self.check(table)
            if self._labels.label in table.labels:
                return table
            if (claimed := self._tables.relabel(table, {self._labels.label: ""})) is not None:
                return claimed
            table = self._tables.get(table.reference)
        raise self._contested(table)

    def claimed(self, target: Target) -> bigquery.Table:
        """A table that this pipeline may write, created if there is none. Raises as ``check`` does."""
        table = self._tables.find(target.table_id)
        if table is None:
            table = self._tables.make(target, None, {self._labels.label: ""})
        return self.claim(table)

    def ensure(self, target: Target) -> bool:
        """Create, claim or widen a table on first use. Returns whether its columns changed."""
        if target.table_id in self._ensured:
            return False
        is_new = self._tables.find(target.table_id) is None
        there = self.claimed(target)
        if not is_new:
            self._tables.check_partitioning(there)
        changed = is_new or self._tables.fit(there, target) is not there
        self._ensured.add(target.table_id)
        return changed

    def mark(self, table_id: str, published: "Publication") -> None:
        """Note that a job has published a table; repeating it changes nothing. Raises OvertakenError when a later job
        of this pipeline has published since."""
        table = self._tables.get(table_id)
        for _ in attempts():
            before = self._labels.publication(table)
            if before is not None and before.created_us > published.created_us and self._knows(before.job_id):
                raise OvertakenError(published.job_id)
            gone = self._labels.others(table) if self._replaces else []
            labels = {self._labels.label: published.label, **dict.fromkeys(gone)}
            if {**table.labels, **labels} == table.labels or self._tables.relabel(table, labels) is not None:
                return
            table = self._tables.get(table_id)
        raise self._contested(table)

    @staticmethod
    def _contested(table: bigquery.Table) -> DestinationError:
        return DestinationError(f"table '{table.table_id}' keeps being changed by others")
