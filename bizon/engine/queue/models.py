"""What travels on the queue."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class Signal(StrEnum):
    """The end of a stream, saying how it ended. Only ``COMPLETE`` lets the consumer publish."""

    COMPLETE = "complete"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One page on its way to the consumer, or the end of the stream.

    ``frame`` is a source frame (:mod:`bizon.common.frames`); a message with a ``signal`` carries no page. ``epoch``
    counts the starts of the job: messages of another job or an older epoch are skipped.
    """

    job_id: str
    epoch: int
    iteration: int
    frame: "pl.DataFrame"
    extracted_at: datetime
    pagination: dict[str, Any] = field(default_factory=dict)
    next_state: dict[str, Any] | None = None
    signal: Signal | None = None

    @property
    def size(self) -> int:
        """Memory its page takes, in bytes, as Polars estimates it."""
        return int(self.frame.estimated_size())
