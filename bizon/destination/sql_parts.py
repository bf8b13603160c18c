"""The staging tables of one start, and of a joined job: a table for each part, which its worker writes, published
together.

A table for each part was chosen over one table with a column for the part. Workers load, trim, add and widen columns
without waiting for each other: to change a table that all of them write, each would wait for the longest batch of the
others. A part that begins again deletes rows of its own table and of no other. The price is one more copy of the rows:
a publisher first copies them into the table of the job, table by table, and then publishes that one as any job does. So
the transaction that publishes stays short and locks few tables, however many parts there are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bizon.destination.receipts import differs
from bizon.destination.sql_rows import drop_table, staging_name

if TYPE_CHECKING:
    from bizon.destination.models import CommittedBatch, ResumePoint
    from bizon.destination.sql_claims import Claim, Claims
    from bizon.destination.sql_layout import SqlStaging, SqlStagingTable, TableLayout, Write
    from bizon.destination.sql_target import SqlTarget, Transaction

_TRIES = 5


class Stagings:
    """The staging tables of the job of ``resume``, for an output. ``suffix``: see ``staging_name``."""

    def __init__(
        self,
        target: "SqlTarget",
        layout: "TableLayout",
        claims: "Claims",
        output: str,
        suffix: str,
        resume: "ResumePoint",
    ) -> None:
        self.name = staging_name(output, suffix, resume.job_id, target.dialect)
        self._target = target
        self._layout = layout
        self._claims = claims
        self._output = output
        self._suffix = suffix
        self._resume = resume

    def own(self) -> "SqlStagingTable":
        """The table of a job without parts."""
        return self._layout.staging(self.name, self._output)

    def part(self, number: int) -> "SqlStagingTable":
        """The table of a part."""
        name = staging_name(self._output, f"{self._suffix}_part{number}", self._resume.job_id, self._target.dialect)

        def lock(within: "Transaction") -> None:
            self._claims.check(within, self._output, self._resume.of_job)
            self._claims.check(within, name, self._resume)

        return self._layout.part(name, self._output, self.name, lock)

    def take_part(self, number: int, may_pass: Callable[[Exception], bool]) -> "tuple[Claim, SqlStagingTable]":
        """Claim a part for this start, and the output for the job. The first workers of a job may claim the output in
        the same instant, and one of them fails: then it tries again. ``may_pass``: whether an error is such a
        failure."""
        part, output = self.part(number), self._output
        for left in reversed(range(_TRIES)):
            try:
                with self._target.transaction() as within:
                    is_filled = self._layout.has_rows(within, output)
                    claim = self._claims.take(within, output, self._resume.of_job, has_rows=is_filled)
                    self._claims.take_part(within, part.name, self._resume)
                break
            except Exception as error:
                if not left or not may_pass(error):
                    raise
        return claim, part

    def united(self) -> "UnitedStaging":
        """Supersede the workers of all parts, now that the output is claimed; gives what they have staged."""
        with self._target.transaction() as within:
            there = {*self._claims.close_parts(within, self._resume.job_created_us)}
        parts = {number: self.part(number) for number in range(self._resume.parts)}
        return UnitedStaging(self.own(), {number: part for number, part in parts.items() if part.name in there})

    def begin(self, claim: "Claim | None") -> None:
        """Drop what older jobs have left, and note the table of this one. ``claim``: to the output, as it was found."""
        left = claim.staging if claim is not None else None
        if left is not None and left != self.name:
            drop_table(self._target, left)
        with self._target.transaction() as within:
            self._claims.check(within, self._output, self._resume.of_job)
            self._claims.note_staging(within, self._output, self.name)
            parts = self._claims.close_parts(within, self._resume.job_created_us - 1)
        self._drop(parts)

    def end(self) -> None:
        """Note that the table of the job is gone, and drop the tables of all parts."""
        with self._target.transaction() as within:
            self._claims.check(within, self._output, self._resume)
            self._claims.note_staging(within, self._output, None)
            parts = self._claims.close_parts(within, self._resume.job_created_us)
        self._drop(parts)

    def _drop(self, parts: Sequence[str]) -> None:
        """Drop the tables of parts, whose workers are superseded."""
        for table in parts:
            drop_table(self._target, table)
            with self._target.transaction() as within:
                self._claims.forget_part(within, table)


class UnitedStaging:
    """The staging of all parts, for the publisher. ``own``: the table of the job. ``parts``: the staging tables that
    exist, by the number of their part."""

    def __init__(self, own: "SqlStagingTable", parts: "Mapping[int, SqlStaging]") -> None:
        self.name, self.drop = own.name, own.drop
        self._own = own
        self._parts = parts
        self._is_gathered = False

    def gather(self, target: "SqlTarget", check: "Write") -> None:
        """Make the table of the job hold the rows of all parts, in transactions that begin with ``check``. A publisher
        that was interrupted here begins again."""
        if self._is_gathered:
            return
        self._own.create(check)
        with target.transaction() as within:
            check(within)
            self._own.trim(within, None)
        for number, part in sorted(self._parts.items()):
            with target.transaction() as within:
                check(within)
                self._own.add(within, part.name, number)
        self._is_gathered = True

    def receipt(self) -> None:
        """None: a publisher writes nothing."""

    def verify(self, committed: "Sequence[CommittedBatch]") -> None:
        """Compare the table of each part with the batches of that part. Raises DestinationError."""
        by_part: dict[int, list[CommittedBatch]] = {number: [] for number in self._parts}
        for batch in committed:
            number = -1 if batch.partition is None else batch.partition
            if number in by_part:
                by_part[number].append(batch)
            elif batch.rows:
                raise differs(batch, "the staging table of the part is missing")
        for number, batches in by_part.items():
            self._parts[number].verify(batches)
