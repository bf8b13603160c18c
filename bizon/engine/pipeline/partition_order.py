"""The pages of partitions, each chain without a gap and each page once, and the ends of several producers."""

from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import QueueError, SourceFetchError
from bizon.engine.queue.models import Signal

if TYPE_CHECKING:
    from bizon.engine.partitions import Positions
    from bizon.engine.queue.models import QueueMessage


class PartitionOrder:
    """Takes the place of ``InOrder`` in a job with partitions, whose queue is inside the run: it loses nothing and
    repeats nothing, so a page out of order is an error at once.

    The stream ends when every producer has sent its end: complete if all of them were, and no partition is left.
    """

    def __init__(self, positions: "Positions", producers: int) -> None:
        self._positions = positions
        self._producers = producers
        self._aborted: QueueMessage | None = None
        self._state: dict[str, Any] | None = None

    @property
    def what_is_missing(self) -> str:
        """The partitions that have not arrived, in words."""
        return f"{len(self._positions.left)} partitions are incomplete"

    def is_repeat(self, message: "QueueMessage") -> bool:
        """False: a repeat is an error."""
        return False

    def take(self, message: "QueueMessage") -> "list[QueueMessage]":
        """The page, or the end of the stream; nothing for an end of one producer while others are busy. Raises
        QueueError for a page that does not follow the last one of its partition."""
        if message.signal is None:
            if message.origin is None:
                raise QueueError(f"page {message.iteration} names no partition, and the job has partitions")
            self._positions = self._positions.advanced([(message.origin, message.pagination)])
            self._check_state(message)
            return [message]
        self._producers -= 1
        if message.signal is Signal.ABORTED:
            self._aborted = message
        if self._producers > 0:
            return []
        if self._aborted is None and self._positions.left:
            raise QueueError(f"all producers have ended, and {self.what_is_missing}; run again to resume")
        return [self._aborted or message]

    def check(self) -> None:
        """Nothing waits here."""

    def _check_state(self, message: "QueueMessage") -> None:
        """Partitions are read in any order, and the last state of all pages is what the next run gets."""
        if message.next_state is None:
            return
        if self._state not in (None, message.next_state):
            raise SourceFetchError(
                f"partition {message.partition}, iteration {message.iteration}: next_state differs from the one of "
                "another partition; return it in one partition only, or the same in all of them"
            )
        self._state = message.next_state
