"""How the consumer notices that nothing more will arrive, on a queue that outlives the run."""

from collections.abc import Callable
from enum import IntEnum
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.patience import END_OF_STREAM, END_OF_STREAM_DRAINED

if TYPE_CHECKING:
    from bizon.common.waiting import StopSign
    from bizon.engine.pipeline.models import WorkerResult


class ProducerState(IntEnum):
    """The state of the producer of the same run, as far as the consumer knows it."""

    RUNNING = 0
    DONE = 1
    FAILED = 2


def state_of(result: "WorkerResult") -> ProducerState:
    """The state of a producer that has ended with this result."""
    return ProducerState.DONE if result.is_success else ProducerState.FAILED


class ProducerWatch:
    """The ``EndWatch`` of a run whose producer may die without sending an end.

    A producer that is done has sent an end, which may still be in flight; one that failed, or was stopped, may have
    died before it could send one. Raises QueueError when an end that was sent does not arrive; soon, when the broker
    reports by ``is_drained`` that it has no message left. ``cut_short`` ends the run at once.
    """

    def __init__(
        self,
        state: Callable[[], ProducerState],
        clock: Callable[[], float] = monotonic,
        is_drained: Callable[[], bool] = lambda: False,
        cut_short: "StopSign | None" = None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._is_drained = is_drained
        self._cut_short = cut_short
        self._empty_since: float | None = None
        self._drained_since: float | None = None

    def is_over(self, *, queue_was_empty: bool) -> bool:
        """See ``EndWatch``."""
        if self._cut_short is not None and self._cut_short.is_set():
            return True
        state = self._state() if queue_was_empty else ProducerState.RUNNING
        if state is ProducerState.RUNNING:
            self._empty_since = self._drained_since = None
            return False
        if state is ProducerState.FAILED:
            return True
        now = self._clock()
        if self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since > END_OF_STREAM:
            raise QueueError("the end of the stream was sent, but does not arrive: was the queue emptied? run again")
        self._look_at_the_broker(now)
        return False

    def _look_at_the_broker(self, now: float) -> None:
        if not self._is_drained():
            self._drained_since = None
        elif self._drained_since is None:
            self._drained_since = now
        elif now - self._drained_since > END_OF_STREAM_DRAINED:
            raise QueueError(
                "all pages and the end of the stream were sent, and nothing is left in the queue: the missing messages "
                "were damaged, expired, dropped, moved or purged (message-ttl, max-length, retention); committed pages "
                "are safe, run again to resume"
            )
