"""Pages in their order, each once: a broker may deliver some again, or late."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.errors.errors import QueueError
from bizon.engine.patience import MISSING_PAGE
from bizon.engine.queue.models import Signal

if TYPE_CHECKING:
    from bizon.engine.queue.models import QueueMessage


class InOrder:
    """The pages that have arrived and those that are missing. Used by the consumer, on one thread.

    ``next_iteration``: the first page that the consumer needs.
    """

    def __init__(self, next_iteration: int, clock: Callable[[], float] = monotonic) -> None:
        self._next = next_iteration
        self._clock = clock
        self._early: dict[int, QueueMessage] = {}
        self._waiting_since = 0.0

    @property
    def what_is_missing(self) -> str:
        """The first page that has not arrived, in words."""
        return f"page {self._next} is missing"

    def is_repeat(self, message: "QueueMessage") -> bool:
        """True for a page that has arrived before."""
        has_arrived = message.iteration < self._next or message.iteration in self._early
        return has_arrived and message.signal is not Signal.ABORTED

    def take(self, message: "QueueMessage") -> list["QueueMessage"]:
        """The messages that are next in order now that ``message``, not a repeat, has arrived; empty while an earlier
        one is missing. An ABORTED end waits for no page: those before it may be missing for good."""
        if message.signal is Signal.ABORTED:
            return [message]
        if not self._early:
            self._waiting_since = self._clock()
        self._early[message.iteration] = message
        ready = []
        while self._next in self._early:
            ready.append(self._early.pop(self._next))
            self._next += 1
        if ready:
            self._waiting_since = self._clock()
        return ready

    def check(self) -> None:
        """Raise QueueError when a page has been missing for too long."""
        if self._early and self._clock() - self._waiting_since > MISSING_PAGE:
            raise QueueError(
                f"{self.what_is_missing}, the queue delivered {min(self._early)} to {max(self._early)}; "
                "run the producer again to resume"
            )
