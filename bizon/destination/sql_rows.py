"""Rows in SQL tables: the staging table of a job, and tables that rows are written to at once."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.errors.errors import DestinationError
from bizon.destination.receipts import differs

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.sql_target import Dialect, SqlTarget, Transaction

COLUMNS = "bizon_id, bizon_extracted_at, bizon_loaded_at, source_record_id, source_timestamp, source_data"
LAST_ROWS = "_bizon_last_rows"
_HASH_DIGITS = 8


def staging_name(output: str, suffix: str, job_id: str, dialect: "Dialect") -> str:
    """``<output>_<suffix>_<hash of output and job>``, no longer than the database allows: a job that was given up and
    its successor never share a staging table."""
    end = f"_{suffix}_{hashlib.sha256(f'{output} {job_id}'.encode()).hexdigest()[:_HASH_DIGITS]}"
    return output.encode()[: dialect.longest_name - len(end)].decode(errors="ignore") + end


def create_table(within: "Transaction", table: str, dialect: "Dialect", more: str = "") -> None:
    """Create a table with the six columns if there is none. ``more``: further columns."""
    text, moment = dialect.text, dialect.moment
    within.run(
        f"CREATE TABLE IF NOT EXISTS {{table}} (bizon_id {text}, bizon_extracted_at {moment}, "
        f"bizon_loaded_at {moment}, source_record_id {text}, source_timestamp {moment}, source_data {text}{more})",
        table=table,
    )


def has_rows(within: "Transaction", table: str) -> bool:
    """Whether a table with the six columns has rows."""
    return bool(within.rows(f"SELECT {COLUMNS} FROM {{table}} LIMIT 1", table=table))


class StagingTable:
    """The staging table of a job. Each row has the last page of its batch, ``bizon_page``.

    Methods with ``within`` run in the caller's transaction, which has checked the claim.
    """

    def __init__(self, target: "SqlTarget", name: str) -> None:
        self.name = name
        self._target = target
        self._tried: BatchRange | None = None

    def create(self) -> None:
        """Create it if there is none."""
        with self._target.transaction() as within:
            create_table(within, self.name, self._target.dialect, f", bizon_page {self._target.dialect.number}")

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Delete the rows after a page; None: all rows."""
        within.run(
            "DELETE FROM {staging} WHERE bizon_page > ?", -1 if last_page is None else last_page, staging=self.name
        )

    def write(self, within: "Transaction", batch: "BatchRange", rows: pl.DataFrame) -> None:
        """Insert a batch. The same batch written again replaces the first write, whose answer may have been lost."""
        if batch == self._tried:
            self.trim(within, batch.from_iteration - 1)
        self._tried = batch
        within.run_for_each(
            f"INSERT INTO {{staging}} ({COLUMNS}, bizon_page) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._target.dialect.values(rows.with_columns(bizon_page=pl.lit(batch.to_iteration))),
            staging=self.name,
        )

    def receipt(self) -> Mapping[str, Any] | None:
        """None: the checkpoint has the page, and the staging table has it, too."""
        return None

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Compare the rows of each page with the checkpoints. Raises DestinationError."""
        with self._target.transaction() as within:
            query = "SELECT bizon_page, COUNT(*) FROM {staging} GROUP BY bizon_page"
            found = {int(page): int(rows) for page, rows in within.rows(query, staging=self.name)}
        for batch in committed:
            rows = found.pop(batch.to_iteration, 0)
            if rows != batch.rows:
                raise differs(batch, f"table '{self.name}' has {rows:,} rows of them")
        if found:
            raise DestinationError(
                f"table '{self.name}' has rows of page {min(found)}, which no checkpoint names: is another program "
                f"writing to it? Delete them, or run with --fresh to fetch everything again"
            )

    def drop(self) -> None:
        """Drop it; it may be gone."""
        drop_table(self._target, self.name)


def drop_table(target: "SqlTarget", table: str) -> None:
    """Drop a table that may be gone."""
    with target.transaction() as within:
        within.run("DROP TABLE IF EXISTS {table}", table=table)


class InPlaceRows:
    """Rows written to their table at once. The ids of the last batch are kept in the same transaction, so
    that a batch without a checkpoint can be taken back. Used in transactions that have checked the claim."""

    def __init__(self, owner: str, job_id: str) -> None:
        self._owner = owner
        self._job_id = job_id

    def create(self, within: "Transaction", dialect: "Dialect") -> None:
        """Create the table of the last ids if there is none."""
        within.run(
            f"CREATE TABLE IF NOT EXISTS {{last}} (output {dialect.text}, owner {dialect.text}, job_id {dialect.text}, "
            f"page {dialect.number}, bizon_id {dialect.text})",
            last=LAST_ROWS,
        )

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Take back the rows after a page, from each table of the job."""
        query = "SELECT DISTINCT output FROM {last} WHERE owner = ? AND job_id = ?"
        for (output,) in within.rows(query, self._owner, self._job_id, last=LAST_ROWS):
            self._take_back(within, output, -1 if last_page is None else last_page)

    def write(
        self, within: "Transaction", output: str, batch: "BatchRange", rows: pl.DataFrame, dialect: "Dialect"
    ) -> None:
        """Insert a batch. The same batch written again replaces the first write."""
        self._take_back(within, output, batch.from_iteration - 1)
        within.run("DELETE FROM {last} WHERE output = ? AND owner = ?", output, self._owner, last=LAST_ROWS)
        within.run_for_each(
            f"INSERT INTO {{output}} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", dialect.values(rows), output=output
        )
        about = (output, self._owner, self._job_id, batch.to_iteration)
        within.run_for_each(
            "INSERT INTO {last} (output, owner, job_id, page, bizon_id) VALUES (?, ?, ?, ?, ?)",
            ((*about, bizon_id) for bizon_id in rows["bizon_id"]),
            last=LAST_ROWS,
        )

    def _take_back(self, within: "Transaction", output: str, last_page: int) -> None:
        torn = "SELECT bizon_id FROM {last} WHERE output = ? AND owner = ? AND job_id = ? AND page > ?"
        about = (output, self._owner, self._job_id, last_page)
        if within.rows(f"{torn} LIMIT 1", *about, last=LAST_ROWS):
            within.run(f"DELETE FROM {{output}} WHERE bizon_id IN ({torn})", *about, output=output, last=LAST_ROWS)
