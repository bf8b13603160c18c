"""The six columns in SQL tables: the staging table of a job, and tables that rows are written to at once."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.common.errors.errors import DestinationError, TableRefusedError
from bizon.destination.models import WriteMode
from bizon.destination.receipts import differs
from bizon.destination.sql_layout import SqlStaging, SqlStagingTable, TableLayout, Write

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange, CommittedBatch
    from bizon.destination.sql_layout import SqlTables
    from bizon.destination.sql_target import Dialect, SqlTarget, Transaction

COLUMNS = "bizon_id, bizon_extracted_at, bizon_loaded_at, source_record_id, source_timestamp, source_data"
LAST_ROWS = "_bizon_last_rows"
_HASH_DIGITS = 8
_LONGEST_STAGING_NAME = 63  # bytes, where the database has no limit of its own


def staging_name(output: str, suffix: str, job_id: str, dialect: "Dialect") -> str:
    """``<output>_<suffix>_<hash of output and job>``, no longer than the database allows: a job that was given up and
    its successor never share a staging table."""
    end = f"_{suffix}_{hashlib.sha256(f'{output} {job_id}'.encode()).hexdigest()[:_HASH_DIGITS]}"
    longest = dialect.longest_name or _LONGEST_STAGING_NAME
    return output.encode()[: longest - len(end)].decode(errors="ignore") + end


def create_table(within: "Transaction", table: str, dialect: "Dialect", more: str = "") -> None:
    """Create a table with the six columns if there is none. ``more``: further columns."""
    text, moment = dialect.text, dialect.moment
    within.run(
        f"CREATE TABLE IF NOT EXISTS {{table}} (bizon_id {text}, bizon_extracted_at {moment}, "
        f"bizon_loaded_at {moment}, source_record_id {text}, source_timestamp {moment}, source_data {text}{more})",
        table=table,
    )


def check_columns(within: "Transaction", table: str) -> None:
    """Raise TableRefusedError unless a table has the six columns."""
    within.rows("SELECT * FROM {table} WHERE 1 = 0", table=table)
    there = {str(column[0]).lower() for column in within.cursor.description}
    missing = [name for name in COLUMNS.split(", ") if name not in there]
    if missing:
        raise TableRefusedError(
            f"table '{table}' has no column {', '.join(missing)}: no run of bizon created it; nothing was changed. "
            f"Write to another destination_id"
        )


def look(target: "SqlTarget", table: str) -> None:
    """Check, without a change, that the database answers and that a table has the six columns; it may be missing."""
    with target.transaction() as within:
        within.rows("SELECT 1")
    with suppress(target.driver.Error), target.transaction() as within:
        check_columns(within, table)


def drop_table(target: "SqlTarget", table: str) -> None:
    """Drop a table that may be gone."""
    with target.transaction() as within:
        within.run("DROP TABLE IF EXISTS {table}", table=table)


def check_counts(within: "Transaction", staging: str, page: str, committed: Sequence["CommittedBatch"]) -> None:
    """Compare the rows of each batch with the checkpoints. ``page``: the column with the last page of a batch. Raises
    DestinationError."""
    query = "SELECT {page}, COUNT(*) FROM {staging} GROUP BY {page}"
    found = {int(last): int(rows) for last, rows in within.rows(query, staging=staging, page=page)}
    for batch in committed:
        rows = found.pop(batch.to_iteration, 0)
        if rows != batch.rows:
            raise differs(batch, f"table '{staging}' has {rows:,} rows of them")
    if found:
        raise DestinationError(
            f"table '{staging}' has rows of page {min(found)}, which no checkpoint names: is another program "
            f"writing to it? Delete them, or run with --fresh to fetch everything again"
        )


class SixColumns(TableLayout):
    """Tables with the six columns. No step relies on DDL that can be rolled back."""

    def __init__(self, tables: "SqlTables", owner: str, job_id: str) -> None:
        self._tables = tables
        self._rows = InPlaceRows(tables, owner, job_id)

    def set_up(self, output: str, *, in_place: bool) -> None:
        """Each table in a transaction by itself: its DDL may commit by itself."""
        if in_place:
            with self._tables.target.transaction() as within:
                self._rows.create(within)
        with self._tables.target.transaction() as within:
            create_table(within, output, self._tables.dialect)
        with self._tables.target.transaction() as within:
            check_columns(within, output)

    def has_rows(self, within: "Transaction", output: str) -> bool:
        """Whether a table with the six columns has rows. No moment is fetched: some drivers need a package for it."""
        return bool(within.rows("SELECT bizon_id FROM {table} LIMIT 1", table=output))

    def staging(self, name: str, output: str) -> SqlStagingTable:
        """Its rows have the six columns and ``bizon_page``."""
        return StagingTable(self._tables, name)

    def part(self, name: str, output: str, joined: str, lock: Write) -> SqlStagingTable:
        """The same: parts have nothing in common."""
        return StagingTable(self._tables, name)

    def write_as(self, member: int) -> None:
        """The ids of its batches are kept by its number."""
        self._rows.write_as(member)

    def trim_in_place(self, within: "Transaction", last_page: int | None) -> None:
        """From each table of the job."""
        self._rows.trim(within, last_page)

    def write_in_place(self, output: str, batch: "BatchRange", rows: pl.DataFrame) -> Write:
        """The ids of the batch are kept in the same transaction."""
        return lambda within: self._rows.write(within, output, batch, rows)

    def publish(self, within: "Transaction", output: str, staging: SqlStaging, mode: WriteMode) -> None:
        """Delete the old rows of a full refresh, and insert the staged ones."""
        if mode is WriteMode.REPLACE:
            within.run("DELETE FROM {output}", output=output)
        within.run(
            f"INSERT INTO {{output}} ({COLUMNS}) SELECT {COLUMNS} FROM {{staging}}",
            output=output,
            staging=staging.name,
        )


class StagingTable:
    """The staging table of a job, or of a part. Each row has the last page of its batch, ``bizon_page``."""

    def __init__(self, tables: "SqlTables", name: str) -> None:
        self.name = name
        self._tables = tables
        self._tried: BatchRange | None = None

    def create(self, check: Write) -> None:
        """Create it if there is none."""
        dialect = self._tables.dialect
        with self._tables.target.transaction() as within:
            check(within)
            create_table(within, self.name, dialect, f", bizon_page {dialect.number}")

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Delete the rows after a page; None: all rows."""
        within.run(
            "DELETE FROM {staging} WHERE bizon_page > ?", -1 if last_page is None else last_page, staging=self.name
        )

    def write(self, batch: "BatchRange", rows: pl.DataFrame) -> Write:
        """The same batch written again replaces the first write, whose answer may have been lost."""
        marked = rows.with_columns(bizon_page=pl.lit(batch.to_iteration, dtype=pl.Int64))

        def write(within: "Transaction") -> None:
            if batch == self._tried:
                self.trim(within, batch.from_iteration - 1)
            self._tried = batch
            self._tables.load(within, self.name, marked)

        return write

    def add(self, within: "Transaction", part: str, number: int) -> None:
        """In the order in which they were inserted."""
        columns = f"{COLUMNS}, bizon_page"
        within.run(f"INSERT INTO {{staging}} ({columns}) SELECT {columns} FROM {{part}}", staging=self.name, part=part)

    def receipt(self) -> Mapping[str, Any] | None:
        """None: the checkpoint has the page, and the staging table has it, too."""
        return None

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Compare the rows of each page with the checkpoints. Raises DestinationError."""
        with self._tables.target.transaction() as within:
            check_counts(within, self.name, "bizon_page", committed)

    def drop(self) -> None:
        """Drop it; it may be gone."""
        drop_table(self._tables.target, self.name)


class InPlaceRows:
    """Rows written to their table at once. The ids of the last batch are kept in the same transaction, so that a batch
    without a checkpoint can be taken back; in a stream with members, the last batch of each. Used in transactions that
    have checked the claim."""

    def __init__(self, tables: "SqlTables", owner: str, job_id: str) -> None:
        self._tables = tables
        self._owner = owner
        self._job_id = self._chain = job_id

    def write_as(self, member: int) -> None:
        """The batches of this member from now on."""
        self._chain = f"{self._job_id}/{member}"

    def create(self, within: "Transaction") -> None:
        """Create the table of the last ids if there is none."""
        dialect = self._tables.dialect
        within.run(
            f"CREATE TABLE IF NOT EXISTS {{last}} (output {dialect.text}, owner {dialect.text}, job_id {dialect.text}, "
            f"page {dialect.number}, bizon_id {dialect.text})",
            last=LAST_ROWS,
        )

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Take back the rows after a page, from each table of the job."""
        query = "SELECT DISTINCT output FROM {last} WHERE owner = ? AND job_id = ?"
        for (output,) in within.rows(query, self._owner, self._chain, last=LAST_ROWS):
            self._take_back(within, output, -1 if last_page is None else last_page)

    def write(self, within: "Transaction", output: str, batch: "BatchRange", rows: pl.DataFrame) -> None:
        """Insert a batch. The same batch written again replaces the first write."""
        self._take_back(within, output, batch.from_iteration - 1)
        done = "output = ? AND owner = ? AND (job_id = ? OR substr(job_id, 1, ?) <> ?)"
        about = (output, self._owner, self._chain, len(self._job_id), self._job_id)
        within.run(f"DELETE FROM {{last}} WHERE {done}", *about, last=LAST_ROWS)
        self._tables.load(within, output, rows)
        ids = rows.select(
            output=pl.lit(output),
            owner=pl.lit(self._owner),
            job_id=pl.lit(self._chain),
            page=pl.lit(batch.to_iteration, dtype=pl.Int64),
            bizon_id="bizon_id",
        )
        self._tables.load(within, LAST_ROWS, ids)

    def _take_back(self, within: "Transaction", output: str, last_page: int) -> None:
        torn = "SELECT bizon_id FROM {last} WHERE output = ? AND owner = ? AND job_id = ? AND page > ?"
        about = (output, self._owner, self._chain, last_page)
        if within.rows(f"{torn} LIMIT 1", *about, last=LAST_ROWS):
            within.run(f"DELETE FROM {{output}} WHERE bizon_id IN ({torn})", *about, output=output, last=LAST_ROWS)
