"""The staging table of a job whose rows have typed columns."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.errors.errors import DestinationError
from bizon.common.safe_log import logger
from bizon.destination.column_receipts import ColumnReceipts, noted
from bizon.destination.receipts import differs
from bizon.destination.sql_rows import check_counts, drop_table
from bizon.destination.system_columns import MARKS, PAGE
from bizon.destination.typed_config import Verify
from bizon.destination.typed_digest import Digest
from bizon.destination.typed_tables import apply, create

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.sql_layout import Write
    from bizon.destination.sql_target import Transaction
    from bizon.destination.typed_batch import There
    from bizon.destination.typed_rows import Rows, TypedRows
    from bizon.destination.typed_tables import TypedTables

_PAGES = 2**40  # more than a part of a job ever has


class TypedStaging:
    """It begins with the columns of its output, and grows with the batches. Each row has the last page of its batch,
    ``_bizon_page``. ``verifies``: what ``verify`` compares."""

    def __init__(self, tables: "TypedTables", name: str, output: str, rows: "TypedRows", verifies: Verify) -> None:
        self.name = name
        self._tables = tables
        self._output = output
        self._rows = rows
        self._verifies = verifies
        self._there: There = {}
        self._closed: dict[str, None] = {}
        self._tried: BatchRange | None = None
        self._written: Rows | None = None
        self._receipts = ColumnReceipts({})

    def create(self, check: "Write") -> None:
        """Create it if there is none."""
        with self._tables.target.transaction() as within:
            check(within)
            self._there = self._begun(within, self.name)

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Delete the rows after a page; None: all rows."""
        last = -1 if last_page is None else last_page
        within.run("DELETE FROM {staging} WHERE {page} > ?", last, staging=self.name, page=PAGE)

    def write(self, batch: "BatchRange", rows: pl.DataFrame) -> "Write":
        """Give the rows their types now, and write them later, after the columns that they need. Raises
        RowsRejectedError."""
        planned = self._rows.plan(self._output, self._there, rows)
        self._receipts.begin(batch)

        def write(within: "Transaction") -> None:
            there = self._columns(within, self.name)
            ready = planned if there == planned.plan.there else self._rows.plan(self._output, there, rows)
            apply(within, self._tables, self.name, ready.plan.add, ready.plan.widen)
            self._load(within, batch, ready)

        return write

    def add(self, within: "Transaction", part: str, number: int) -> None:
        """Its pages get higher numbers than the pages of earlier parts: a merge needs the order of arrival."""
        columns = [name for name in self._tables.columns_of(within, part) if name != PAGE]
        names = {f"c{place}": name for place, name in enumerate(columns)}
        listed = "".join(f"{{{key}}}, " for key in names)
        within.run(
            f"INSERT INTO {{staging}} ({listed}{{page}}) SELECT {listed}{{page}} + ? FROM {{part}}",
            number * _PAGES,
            staging=self.name,
            part=part,
            page=PAGE,
            **names,
        )

    @property
    def written(self) -> "Rows | None":
        """The rows of the last write."""
        return self._written

    def receipt(self) -> Mapping[str, Any] | None:
        """The columns that the batch has added or widened and the number of rescued values, if there are any, and the
        digest of the values, if it is wanted."""
        if self._written is None:
            return None
        rescued = {".".join(path): values for path, values in self._written.plan.rescued.items()}
        receipt: dict[str, Any] = {**self._receipts.receipt(noted(self._there, MARKS))}
        if rescued:
            receipt["rescued"] = rescued
        if self._verifies is Verify.VALUES:
            receipt["digest"] = [*Digest.of_rows(self._written.plan.frame)]
        return receipt or None

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Compare the rows of each batch, or also their values, with the checkpoints. Raises DestinationError."""
        if self._verifies is Verify.NONE:
            return
        with self._tables.target.transaction() as within:
            check_counts(within, self.name, PAGE, committed)
            if self._verifies is Verify.VALUES:
                there = self._tables.columns_of(within, self.name)
                for batch in committed:
                    if batch.rows:
                        self._check_values(within, batch, there)

    def drop(self) -> None:
        """Drop it; it may be gone."""
        drop_table(self._tables.target, self.name)

    def _begun(self, within: "Transaction", name: str) -> "There":
        """Create a staging table with the columns of the output if there is none. Its columns, see ``_columns``."""
        output = self._tables.columns_of(within, self._output)
        self._receipts = ColumnReceipts(noted(output))
        self._closed = {column: None for column, kind in output.items() if kind is None}
        if not self._tables.columns_of(within, name):
            columns = {column: kind for column, kind in output.items() if kind is not None}
            create(within, self._tables, name, {**columns, **self._rows.marks}, self._tables.staging_kind)
        return self._columns(within, name)

    def _columns(self, within: "Transaction", name: str) -> "There":
        """The columns of a staging table, and the columns of the output that take no values."""
        return {**self._closed, **self._tables.columns_of(within, name)}

    def _load(self, within: "Transaction", batch: "BatchRange", ready: "Rows") -> None:
        """Load rows whose columns the table has. The same batch written again replaces the first write."""
        if batch == self._tried:
            self.trim(within, batch.from_iteration - 1)
        self._tried = batch
        marked = ready.frame.with_columns(pl.lit(batch.to_iteration, dtype=pl.Int64).alias(PAGE))
        self._tables.load(within, self.name, marked)
        self._written, self._there = ready, ready.plan.after

    def _check_values(self, within: "Transaction", batch: "CommittedBatch", there: "There") -> None:
        wanted = Digest.received(batch.receipt or {})
        if wanted is None:
            pages = f"pages {batch.from_iteration}-{batch.to_iteration}"
            raise DestinationError(
                f"{pages} were written without a digest, so their values cannot be compared: was `verify` changed? "
                f"Set `verify: counts` to publish them, or run with --fresh to fetch everything again"
            )
        unknown = [name for name, kind in there.items() if kind is None]
        if unknown:
            raise differs(batch, f"column '{unknown[0]}' of table '{self.name}' has another type now")
        columns = {name: kind for name, kind in there.items() if name not in MARKS and kind is not None}
        found = Digest.of_rows(self._tables.read(within, self.name, columns, {PAGE: batch.to_iteration}))
        if found.made_by != wanted.made_by:
            logger.warning(f"values of table '{self.name}' are not compared: {wanted.made_by} made their digests")
        elif found != wanted:
            raise differs(batch, f"table '{self.name}' has other values in them")
