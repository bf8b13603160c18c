"""How the consuming half learns that nothing will come any more, from a queue that outlives the run."""

from collections.abc import Callable
from enum import IntEnum

from bizon.common.clock import Monotonic, monotonic
from bizon.common.errors.errors import QueueError
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult

PATIENCE = 300.0  # seconds for the end of the stream to arrive, once the producer has sent it
DRAINED = 5.0  # seconds; the same while the broker says that it has nothing


class ProducerState(IntEnum):
    """What is known of the producing half of the same run."""

    AT_WORK = 0
    DONE = 1
    FAILED = 2


def state_of(result: WorkerResult) -> ProducerState:
    """What the result of a producer says about the end of the stream."""
    return ProducerState.DONE if result.status is PipelineReturnStatus.SUCCESS else ProducerState.FAILED


class ProducerWatch:
    """Asked by the consumer after each look into the queue, with whether it was empty. True: end as if ABORTED.

    A producer that is done has sent an end, which may still be on its way; one that failed, or was told to stop, may
    have died before it could. Raises QueueError when an end that was sent does not arrive; soon, when the broker says
    by ``is_drained`` that it has no message left.
    """

    def __init__(
        self,
        state: Callable[[], ProducerState],
        clock: Monotonic = monotonic,
        is_drained: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._clock = clock
        self._is_drained = is_drained
        self._empty_since: float | None = None
        self._drained_since: float | None = None

    def __call__(self, was_empty: bool) -> bool:
        state = self._state() if was_empty else ProducerState.AT_WORK
        if state is ProducerState.AT_WORK:
            self._empty_since = self._drained_since = None
            return False
        if state is ProducerState.FAILED:
            return True
        now = self._clock()
        if self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since > PATIENCE:
            raise QueueError("the end of the stream was sent, but does not arrive: was the queue emptied? run again")
        self._look_at_the_broker(now)
        return False

    def _look_at_the_broker(self, now: float) -> None:
        if not self._is_drained():
            self._drained_since = None
        elif self._drained_since is None:
            self._drained_since = now
        elif now - self._drained_since > DRAINED:
            raise QueueError(
                "all pages and the end of the stream were sent, and nothing is left in the queue: what is missing was "
                "damaged, has expired, or was dropped, moved or purged (message-ttl, max-length, retention); what is "
                "committed is safe, run again to resume"
            )
