"""Staging tables of the parts of a joined job whose rows have typed columns.

The table of the job is empty until it is published, and has the columns that the parts have agreed on. A worker whose
rows need a column, or a wider one, changes that table first, in a short transaction of its own; whoever comes second
finds the column as it is. So what a value needs is decided once, as in a job of one chain: a value that does not fit
the column is rescued when it is written. No two parts ever have columns that cannot be united.

The table of a part gets these columns when its rows need them. It may lag behind, with a narrower type: every value of
a narrower type is the same value in the wider one.
"""

from typing import TYPE_CHECKING

from bizon.destination.columns import Column
from bizon.destination.typed_staging import TypedStaging
from bizon.destination.typed_tables import apply

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.models import BatchRange
    from bizon.destination.sql_layout import Write
    from bizon.destination.sql_target import Transaction
    from bizon.destination.typed_config import Verify
    from bizon.destination.typed_rows import Rows, TypedRows
    from bizon.destination.typed_tables import TypedTables


class TypedPart(TypedStaging):
    """The staging table of one part. ``joined``: the table of the job. ``lock``: see ``TableLayout.part``."""

    def __init__(
        self,
        tables: "TypedTables",
        name: str,
        output: str,
        rows: "TypedRows",
        verifies: "Verify",
        joined: str,
        lock: "Write",
    ) -> None:
        super().__init__(tables, name, output, rows, verifies)
        self._joined = joined
        self._lock = lock

    def create(self, check: "Write") -> None:
        """Create it, and the table of the job, if there are none."""
        super().create(check)
        with self._tables.target.transaction() as within:
            self._lock(within)
            self._there = self._begun(within, self._joined)

    def write(self, batch: "BatchRange", rows: "pl.DataFrame") -> "Write":
        """Give the rows their types, once the parts have agreed on the columns that they need. Raises
        RowsRejectedError."""
        ready = self._agreed(rows)
        self._receipts.begin(batch)

        def write(within: "Transaction") -> None:
            own, after = self._tables.columns_of(within, self.name), ready.plan.after
            needed = {name: kind for name in ready.frame.columns if (kind := after[name]) is not None}
            add = [Column((), name, kind) for name, kind in needed.items() if name not in own]
            widen = [Column((), name, kind) for name, kind in needed.items() if own.get(name, kind) != kind]
            apply(within, self._tables, self.name, add, widen)
            self._load(within, batch, ready)

        return write

    def _agreed(self, rows: "pl.DataFrame") -> "Rows":
        """The rows, in columns that the table of the job has."""
        planned = self._rows.plan(self._output, self._there, rows)
        if not (planned.plan.add or planned.plan.widen):
            return planned
        with self._tables.target.transaction() as within:
            self._lock(within)
            there = self._columns(within, self._joined)
            ready = planned if there == planned.plan.there else self._rows.plan(self._output, there, rows)
            apply(within, self._tables, self._joined, ready.plan.add, ready.plan.widen)
        self._there = ready.plan.after
        return ready
