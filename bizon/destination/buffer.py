"""When pages are due for a write. Pure policy: no I/O, no threads, an injected clock."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from bizon.rows.frames import SourcePage, frame_bytes

if TYPE_CHECKING:
    import polars as pl

    from bizon.common.models import BizonConfig
    from bizon.destination.config import AbstractDestinationDetailsConfig

MEGABYTE = 1024 * 1024
_SMALLEST_BUDGET = 16 * MEGABYTE
"""Runs that share a memory divide it. A small buffer, or none, must not keep a source from fetching ahead."""


class DestinationBuffer:
    """Collects contiguous pages until a write is due.

    ``buffer_size``: MB, 0 = every page is due at once. ``buffer_flush_timeout``: seconds after which the oldest page
    is due, 0 = never. ``max_records``: number of rows that makes the pages due, 0 = no limit. A page without rows is
    collected too: its pagination has to be recorded.
    """

    def __init__(
        self,
        buffer_size: int,
        buffer_flush_timeout: float,
        clock: Callable[[], float] = monotonic,
        max_records: int = 0,
    ) -> None:
        self._limit = buffer_size * MEGABYTE
        self._timeout = buffer_flush_timeout
        self._clock = clock
        self._max_records = max_records
        self._records = 0
        self._pages: list[SourcePage] = []
        self._size = 0
        self._oldest: float | None = None

    @classmethod
    def of_pipeline(cls, config: "BizonConfig") -> "DestinationBuffer":
        """In sync mode ``stream`` it holds micro-batches, so that offsets are soon committed to the source."""
        if config.source.is_endless:
            batch = config.engine.runner.config.micro_batch
            return cls(batch.max_size, batch.max_seconds, max_records=batch.max_records)
        details = config.destination.config
        return cls(details.buffer_size, details.buffer_flush_timeout)

    @property
    def is_empty(self) -> bool:
        """True when no page is waiting, not even a page without rows."""
        return not self._pages

    @property
    def size(self) -> int:
        """Bytes of the waiting frames, and of the states that are kept with them."""
        return self._size

    def add(self, page: SourcePage, state_size: int = 0) -> None:
        """Append a page; ``state_size``: bytes of pagination and state that are kept with it. Raises ValueError when it
        does not follow the previous page."""
        if self._pages and page.iteration != self._pages[-1].iteration + 1:
            raise ValueError(f"page {page.iteration} does not follow page {self._pages[-1].iteration}")
        if self._oldest is None:
            self._oldest = self._clock()
        self._pages.append(page)
        self._size += frame_bytes(page.frame) + state_size
        self._records += page.frame.height

    def has_room_for(self, frame: "pl.DataFrame") -> bool:
        """False when adding ``frame`` would exceed the limit and pages are waiting: take those first."""
        return self.is_empty or self._size + frame_bytes(frame) <= self._limit

    def is_due(self) -> bool:
        """True when the waiting pages should be written now: the buffer is full, or the oldest page is due."""
        if self.is_empty:
            return False
        is_full = self._size >= self._limit or (self._max_records and self._records >= self._max_records)
        return bool(is_full) or self.seconds_until_due() == 0

    def seconds_until_due(self) -> float | None:
        """Seconds until the oldest page is due, 0 when it is; None when no page waits or there is no time limit."""
        if self._oldest is None or self._timeout == 0:
            return None
        return max(0.0, self._oldest + self._timeout - self._clock())

    def take(self) -> list[SourcePage]:
        """Remove and return all waiting pages. Raises ValueError when there are none."""
        if self.is_empty:
            raise ValueError("the buffer is empty")
        pages, self._pages, self._size, self._records, self._oldest = self._pages, [], 0, 0, None
        return pages


def memory_budget(config: "BizonConfig") -> int:
    """Bytes of pages that may wait, in the queue and in the buffer together: a full buffer, and as much again that is
    fetched while the buffer is written."""
    details: AbstractDestinationDetailsConfig = config.destination.config
    return max(details.buffer_size * MEGABYTE * 2, _SMALLEST_BUDGET // config.sharers)
