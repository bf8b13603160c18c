"""How a run shows, for as long as it lasts, that it is writing a table: by an advisory lock of the target.

The claim (``sql_claims.py``) says which job may change a table, and stays when its run has ended. The lock says that a
process of this job still lives. Runs whose states know each other exclude each other by their lease, and the later one
takes over at once, whatever a frozen process holds. Runs whose states do not (state in memory, a run started from
another folder) meet here: the second one stops before it fetches.

All processes of a job hold its lock alike: the commands of a joined job, and a frozen start next to the one that has
taken over. The lock proves a living run; its absence proves nothing.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bizon.destination.sql_target import Transaction


class Presence(Protocol):
    """The locks of one target, as one run uses them. Both methods are called while the claim is locked, so no other
    start claims the table in between."""

    def hold(self, within: "Transaction", job_id: str) -> None:
        """Show from now on that a process of this job is running, until the destination is closed or its process dies.
        Where the lock cannot be had, the run goes on without it."""

    def holder(self, within: "Transaction", job_id: str) -> str | None:
        """The other process or session that shows that this job is running, in words; None when there is none."""
