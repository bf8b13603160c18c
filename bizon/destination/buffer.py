"""When pages are due for a write. Pure policy: no I/O, no threads, an injected clock."""

from typing import TYPE_CHECKING

import polars as pl

from bizon.common.clock import Monotonic, monotonic
from bizon.common.frames import frame_bytes
from bizon.engine.pipeline.models import Batch, PageMark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polars._typing import ConcatMethod

MEGABYTE = 1024 * 1024


class DestinationBuffer:
    """Collects contiguous pages until they are worth a write, or due.

    ``buffer_size``: MB, 0 = every page is due at once. ``buffer_flush_timeout``: seconds after which the oldest page
    is due, 0 = never. A page without rows is collected too: its pagination has to be recorded.
    """

    def __init__(self, buffer_size: int, buffer_flush_timeout: float, clock: Monotonic = monotonic) -> None:
        self._limit = buffer_size * MEGABYTE
        self._timeout = buffer_flush_timeout
        self._clock = clock
        self._frames: list[pl.DataFrame] = []
        self._pages: list[PageMark] = []
        self._size = 0
        self._oldest: float | None = None

    @property
    def is_empty(self) -> bool:
        """True when no page is waiting, not even one without rows."""
        return not self._pages

    @property
    def size(self) -> int:
        """Bytes of the frames that wait."""
        return self._size

    def add(self, frame: pl.DataFrame, page: PageMark) -> None:
        """Append a page. Raises ValueError when it does not follow the page before."""
        if self._pages and page.iteration != self._pages[-1].iteration + 1:
            raise ValueError(f"page {page.iteration} does not follow page {self._pages[-1].iteration}")
        if self._oldest is None:
            self._oldest = self._clock()
        self._pages.append(page)
        self._size += frame_bytes(frame)
        self._frames.append(frame)

    def has_room_for(self, frame: pl.DataFrame) -> bool:
        """False when adding ``frame`` would pass the limit and something is waiting already: take that first."""
        return self.is_empty or self._size + frame_bytes(frame) <= self._limit

    def is_due(self) -> bool:
        """True when what waits should be written now: full, or old enough."""
        if self.is_empty:
            return False
        return self._size >= self._limit or self.seconds_until_due() == 0

    def seconds_until_due(self) -> float | None:
        """Seconds until the oldest page is due, 0 when it is; None when nothing waits or there is no time limit."""
        if self._oldest is None or self._timeout == 0:
            return None
        return max(0.0, self._oldest + self._timeout - self._clock())

    def take(self) -> Batch:
        """Everything that waits, as one batch; the buffer is empty afterwards. Raises ValueError when it is already."""
        if self.is_empty:
            raise ValueError("the buffer is empty")
        frames: Sequence[pl.DataFrame] = [frame for frame in self._frames if frame.height] or self._frames[:1]
        # frames with refused rows have two columns more than the others
        how: ConcatMethod = "vertical" if len({frame.width for frame in frames}) == 1 else "diagonal"
        batch = Batch(frame=pl.concat(frames, how=how, rechunk=False), pages=tuple(self._pages))
        self._frames, self._pages, self._size, self._oldest = [], [], 0, None
        return batch
