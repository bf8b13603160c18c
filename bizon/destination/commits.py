"""Batches written to their table at once: a row of ``_bizon_commits`` is part of the same transaction.

A start that finds a batch without a checkpoint takes it back: the ``_bizon_id`` of a row begins with the mark of its
page. Rows that were merged stay, since the values that they replaced are gone; the source delivers their records again,
and merging them twice changes nothing.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING

from bizon.destination.system_columns import ID
from bizon.rows.frames import page_mark

if TYPE_CHECKING:
    from bizon.destination.models import BatchRange
    from bizon.destination.sql_target import Dialect, Transaction

TABLE = "_bizon_commits"
_MARKS_AT_ONCE = 500


class Commits:
    """The commits of one job, or of one member of its stream. ``merged``: rows cannot be taken back. Used in
    transactions that have checked the claim."""

    def __init__(self, owner: str, job_id: str, *, merged: bool) -> None:
        self._owner = owner
        self._job_id = self._chain = job_id
        self._merged = merged
        self._part = ""

    def write_as(self, member: int) -> None:
        """The commits of this member from now on."""
        self._chain, self._part = f"{self._job_id}/{member}", f"{member}-"

    def create(self, within: "Transaction", dialect: "Dialect") -> None:
        """Create the table of commits if there is none."""
        text, number = dialect.text, dialect.number
        within.run(
            f"CREATE TABLE IF NOT EXISTS {{commits}} (output {text}, owner {text}, job_id {text}, "
            f"first_page {number}, last_page {number}, row_count {number})",
            commits=TABLE,
        )

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Take back the rows after a page, from each table of the job; None: all of them."""
        query = "SELECT DISTINCT output FROM {commits} WHERE owner = ? AND job_id = ?"
        for (output,) in within.rows(query, self._owner, self._chain, commits=TABLE):
            self._take_back(within, output, -1 if last_page is None else last_page)

    def note(self, within: "Transaction", output: str, batch: "BatchRange", rows: int) -> None:
        """Before a batch is written: take back an earlier write of it, and note it. The batches before it have
        checkpoints, so they are forgotten, as are the batches of other jobs."""
        self._take_back(within, output, batch.from_iteration - 1)
        done = "output = ? AND owner = ? AND (job_id = ? OR substr(job_id, 1, ?) <> ?)"
        about = (output, self._owner, self._chain, len(self._job_id), self._job_id)
        within.run(f"DELETE FROM {{commits}} WHERE {done}", *about, commits=TABLE)
        within.run(
            "INSERT INTO {commits} (output, owner, job_id, first_page, last_page, row_count) VALUES (?, ?, ?, ?, ?, ?)",
            *(output, self._owner, self._chain, batch.from_iteration, batch.to_iteration, rows),
            commits=TABLE,
        )

    def _take_back(self, within: "Transaction", output: str, last_page: int) -> None:
        torn = "FROM {commits} WHERE output = ? AND owner = ? AND job_id = ? AND last_page > ?"
        about = (output, self._owner, self._chain, last_page)
        for first, last in within.rows(f"SELECT first_page, last_page {torn}", *about, commits=TABLE):
            pages = range(max(int(first), last_page + 1), int(last) + 1)
            for marks in () if self._merged else self._marks(pages):
                places = ", ".join("?" for _ in marks)
                within.run(
                    f"DELETE FROM {{output}} WHERE substr({{id}}, 1, {len(marks[0])}) IN ({places})",
                    *marks,
                    output=output,
                    id=ID,
                )

    def _marks(self, pages: range) -> Iterator[Sequence[str]]:
        """The marks of pages, some of one length at a time."""
        for _, alike in groupby((page_mark(self._job_id, f"{self._part}{page}") for page in pages), len):
            yield from _some(alike)


def _some(marks: Iterator[str]) -> Iterator[Sequence[str]]:
    while some := tuple(islice(marks, _MARKS_AT_ONCE)):
        yield some
