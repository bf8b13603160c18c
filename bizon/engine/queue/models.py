"""What travels on the queue."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bizon.engine.backend.models import Half, StreamKey

if TYPE_CHECKING:
    import polars as pl

QueueEnd = Half
_PER_BYTE_OF_JSON = 4  # bytes of memory; short texts in a list take three to four, numbers more
_READABLE = 60  # characters of a broker's name that are for people


class Signal(StrEnum):
    """The end of a stream, saying how it ended. Only ``COMPLETE`` lets the consumer publish."""

    COMPLETE = "complete"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One page on its way to the consumer, or the end of the stream.

    ``frame`` is a source frame (:mod:`bizon.rows.frames`); a message with a ``signal`` carries no page. ``epoch``
    counts the starts of the producer: messages of another job or an older epoch are skipped. ``tag`` is the number of
    the delivery, given by a broker's queue on arrival; it does not travel. ``state_length``: bytes of pagination and
    state as JSON; each side finds it by itself.
    """

    job_id: str
    epoch: int
    iteration: int
    frame: "pl.DataFrame"
    extracted_at: datetime
    pagination: dict[str, Any] = field(default_factory=dict)
    next_state: dict[str, Any] | None = None
    signal: Signal | None = None
    tag: int = field(default=0, compare=False)
    state_length: int = field(default=0, compare=False)

    @property
    def size(self) -> int:
        """Memory its page takes, in bytes, as Polars estimates it."""
        return int(self.frame.estimated_size())

    @property
    def state_size(self) -> int:
        """Memory its pagination and state take, in bytes, as an estimate."""
        return self.state_length * _PER_BYTE_OF_JSON


def broker_name(key: StreamKey) -> str:
    """A name for a queue or topic that no other stream gets: readable, of letters that brokers take, with a digest."""
    parts = (key.name, key.source_name, key.stream_name)
    readable = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)
    return f"bizon.{readable[:_READABLE]}.{sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"
