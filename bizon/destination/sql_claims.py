"""The owner of a table, and the start that may change it: one row per table, checked in each transaction.

A start claims its table with its fence (``ResumePoint.fence``). Each transaction that writes, removes or publishes rows
first updates the row of the table, which locks it until the transaction ends, and then compares owner, job and fence.
A start that was frozen and wakes up after another has taken over finds the other's fence, and its transaction does
nothing. The row also names the job that published last, and the staging table, so that the next job can drop it.

In a joined job the staging table of each part has a row of its own, which names itself as the staging table. The worker
of the part claims it with the fence of the part. A publisher closes all of them: their epoch is then higher than the
epoch of any worker.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import DestinationConnectionError, TableRefusedError
from bizon.destination.fence import Fence

if TYPE_CHECKING:
    from bizon.destination.models import Owner, ResumePoint
    from bizon.destination.sql_presence import Presence
    from bizon.destination.sql_target import Dialect, Transaction

TABLE = "_bizon_outputs"
_CLOSED = 2**62  # the epoch of a part that no worker may claim any more


class Claim(NamedTuple):
    """The row of one table. ``pipeline``: its owner in words. ``staging``: a table that may exist, for a part
    itself."""

    owner: str
    pipeline: str
    job_id: str
    created_us: int
    epoch: int
    published_by: str | None
    staging: str | None

    @property
    def fence(self) -> tuple[int, int]:
        """The fence of the start that holds the claim."""
        return self.created_us, self.epoch


_COLUMNS = ", ".join(Claim._fields)
_MARKS = ", ".join("?" for _ in Claim._fields)


class Claims:
    """The claims of one start. ``knows``: whether the state of the pipeline has a job of this id. ``presence``: the
    advisory locks of the target, None where it has none."""

    def __init__(self, owner: "Owner", knows: Callable[[str], bool], presence: "Presence | None" = None) -> None:
        self._fence = Fence(owner, knows)
        self._presence = presence
        self.is_owner = self._fence.is_owner

    def create(self, within: "Transaction", dialect: "Dialect") -> None:
        """Create the table of claims if there is none."""
        text, number = dialect.text, dialect.number
        within.run(
            f"CREATE TABLE IF NOT EXISTS {{claims}} (output {dialect.key} PRIMARY KEY, owner {text}, pipeline {text}, "
            f"job_id {text}, created_us {number}, epoch {number}, published_by {text}, staging {text}, steps {number})",
            claims=TABLE,
        )

    def find(self, within: "Transaction", output: str) -> Claim | None:
        """The claim to a table, as it is now."""
        found = within.rows(f"SELECT {_COLUMNS} FROM {{claims}} WHERE output = ?", output, claims=TABLE)
        return Claim(*found[0]) if found else None

    def check_owner(self, claim: Claim | None, output: str, *, has_rows: bool, adopt: bool) -> None:
        """Raise TableRefusedError for a table of another pipeline, and for one with rows that no run of bizon wrote.
        ``adopt``: take either over."""
        if adopt or self.is_owner(claim) or (claim is None and not has_rows):
            return
        whose = "has rows that no run of bizon wrote" if claim is None else f"belongs to {claim.pipeline}"
        raise TableRefusedError(
            f"table '{output}' {whose}; nothing was changed. Write to another destination_id, or run with --adopt to "
            f"take the table over"
        )

    def take(self, within: "Transaction", output: str, resume: "ResumePoint", *, has_rows: bool) -> Claim:
        """Claim a table for this start, and show that it is running; every earlier start is superseded. Raises what
        ``check_owner`` raises, also for a staging table, OvertakenError in a superseded start, and
        DestinationConnectionError while a job runs that the state does not know."""
        self._lock(within, output)
        found = self.find(within, output)
        if found is None:
            self._check_unstaged(within, output)
        self.check_owner(found, output, has_rows=has_rows, adopt=resume.adopt)
        self._fence.check_newest(found, resume)
        if self._presence is not None:
            self._check_free(self._presence, within, output, found, resume)
            self._presence.hold(within, resume.job_id)
        mine = Claim(
            self._fence.owner.mark,
            str(self._fence.owner),
            resume.job_id,
            *resume.fence,
            found.published_by if found is not None and self.is_owner(found) else None,
            found.staging if found is not None else None,
        )
        if found is None:
            within.run(
                f"INSERT INTO {{claims}} ({_COLUMNS}, output, steps) VALUES ({_MARKS}, ?, 0)",
                *mine,
                output,
                claims=TABLE,
            )
        else:
            changes = ", ".join(f"{column} = ?" for column in Claim._fields)
            within.run(f"UPDATE {{claims}} SET {changes} WHERE output = ?", *mine, output, claims=TABLE)
        return mine

    def share(
        self,
        within: "Transaction",
        output: str,
        resume: "ResumePoint",
        has_rows: Callable[["Transaction", str], bool],
    ) -> None:
        """Claim a table that others of this start's job write as well: nobody waits where it is claimed already. The
        transaction has checked another claim of this start, which a later start takes first. Raises what ``take``
        raises."""
        found = self.find(within, output)
        if found is None or not self._fence.holds(found, resume):
            self.take(within, output, resume, has_rows=has_rows(within, output))

    def check(self, within: "Transaction", output: str, resume: "ResumePoint") -> Claim:
        """Lock the claim to a table until the transaction ends. Raises OvertakenError when another start holds it."""
        self._lock(within, output)
        return self._fence.checked(self.find(within, output), resume)

    def note_staging(self, within: "Transaction", output: str, staging: str | None) -> None:
        """Name the staging table that exists from now on; None when it is gone."""
        within.run("UPDATE {claims} SET staging = ? WHERE output = ?", staging, output, claims=TABLE)

    def note_published(self, within: "Transaction", output: str, job_id: str) -> None:
        """Name the job whose rows the table has now."""
        within.run("UPDATE {claims} SET published_by = ? WHERE output = ?", job_id, output, claims=TABLE)

    def take_part(self, within: "Transaction", table: str, resume: "ResumePoint") -> None:
        """Claim the staging table of a part, in the transaction that has claimed the output for the job. Raises
        OvertakenError in a superseded worker, and when the parts are closed."""
        self.take(within, table, resume, has_rows=False)
        self.note_staging(within, table, table)

    def close_parts(self, within: "Transaction", created_us: int) -> list[str]:
        """Supersede the workers of the jobs of this pipeline that were created at this moment or before; waits for
        those that write now. Returns the staging tables of their parts. Locks rows by their key: without it, some
        databases lock the rows of all pipelines. Called once the output is claimed, in a transaction of its own: there
        are no new parts then."""
        query = "SELECT output FROM {claims} WHERE owner = ? AND staging = output AND created_us <= ? ORDER BY output"
        found = [str(table) for (table,) in within.rows(query, self._fence.owner.mark, created_us, claims=TABLE)]
        for table in found:
            within.run("UPDATE {claims} SET epoch = ? WHERE output = ?", _CLOSED, table, claims=TABLE)
        return found

    def forget_part(self, within: "Transaction", table: str) -> None:
        """Remove the claim to the staging table of a part, which is gone."""
        within.run("DELETE FROM {claims} WHERE output = ? AND staging = output", table, claims=TABLE)

    def _check_unstaged(self, within: "Transaction", output: str) -> None:
        found = within.rows("SELECT pipeline FROM {claims} WHERE staging = ?", output, claims=TABLE)
        if found:
            raise TableRefusedError(
                f"table '{output}' is the staging table of {found[0][0]}; nothing was changed. Write to another "
                f"destination_id"
            )

    def _check_free(
        self, presence: "Presence", within: "Transaction", output: str, found: Claim | None, resume: "ResumePoint"
    ) -> None:
        if found is None or not self._fence.is_foreign(found, resume):
            return
        holder = presence.holder(within, found.job_id)
        if holder is not None:
            raise DestinationConnectionError(
                f"table '{output}' is being written by {holder}, whose job the state of this run does not know: wait "
                f"until it ends, or end it, or give both runs the same state (engine.backend)"
            )

    def _lock(self, within: "Transaction", output: str) -> None:
        within.run("UPDATE {claims} SET steps = steps + 1 WHERE output = ?", output, claims=TABLE)
