"""The batches of the members of a stream, told apart by the job and the number of the member."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.destination.sql_target import Transaction


def chain_of(job_id: str, member: int | None, separator: str = "/") -> str:
    """The name by which the batches of a member are known; None: of plain runs."""
    return job_id if member is None else f"{job_id}{separator}{member}"


def forget_others(within: "Transaction", table: str, output: str, owner: str, chain: str, member: int | None) -> None:
    """Before a batch is noted in ``table``: the earlier ones of the same chain have checkpoints, and need no note. A
    plain run is alone: nobody needs the notes of others either."""
    about, values = "output = ? AND owner = ?", (output, owner)
    if member is None:
        within.run(f"DELETE FROM {{notes}} WHERE {about}", *values, notes=table)
    else:
        within.run(f"DELETE FROM {{notes}} WHERE {about} AND job_id = ?", *values, chain, notes=table)
