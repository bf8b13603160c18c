"""Messages on the queue."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bizon.engine.partitions import PageOrigin

if TYPE_CHECKING:
    import polars as pl

_PER_BYTE_OF_JSON = 4  # bytes of memory per byte; three to four for short texts in a list, more for numbers


class Signal(StrEnum):
    """The end of a stream, and how it ended. The consumer publishes only after ``COMPLETE``."""

    COMPLETE = "complete"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One page on its way to the consumer, or the end of the stream.

    ``frame`` is a source frame (:mod:`bizon.rows.frames`); a message with a ``signal`` carries no page. ``epoch``
    counts the starts of the producer: messages of another job or an older epoch are skipped. ``tag``: the number of the
    delivery, which a broker's queue sets on arrival; it does not travel. ``state_length``: bytes of pagination and
    state as JSON, which each side measures for itself. ``partition``: the one that ``iteration`` counts the pages of;
    the queue then gives the page its ``number`` among all pages of the job, which does not travel either.
    ``fetch_seconds``: how long the source took to make the page, so about what fetching it again would take.
    """

    job_id: str
    epoch: int
    iteration: int
    frame: "pl.DataFrame"
    extracted_at: datetime
    pagination: dict[str, Any] = field(default_factory=dict)
    next_state: dict[str, Any] | None = None
    signal: Signal | None = None
    partition: int | None = None
    fetch_seconds: float = field(default=0.0, compare=False)
    number: int | None = field(default=None, compare=False)
    tag: int = field(default=0, compare=False)
    state_length: int = field(default=0, compare=False)

    @property
    def page(self) -> int:
        """The number of the page in its job."""
        return self.iteration if self.number is None else self.number

    @property
    def origin(self) -> PageOrigin | None:
        """The page in its partition; None in a job without partitions."""
        return None if self.partition is None else PageOrigin(self.partition, self.iteration)

    @property
    def size(self) -> int:
        """Memory of the page, in bytes, as Polars estimates it."""
        return int(self.frame.estimated_size())

    @property
    def state_size(self) -> int:
        """Memory of pagination and state, in bytes, estimated."""
        return self.state_length * _PER_BYTE_OF_JSON
