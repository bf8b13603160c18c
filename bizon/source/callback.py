"""The slip that goes back to the source after a commit."""

from abc import ABC, abstractmethod

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration


class AbstractSourceCallback(ABC):
    """Told which pages are safe. A source that acknowledges its input (a queue, a log) acknowledges it here."""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config

    @abstractmethod
    def on_iterations_written(self, iterations: list[SourceIteration]) -> None:
        """Called by the loader, on the consumer's side, once per committed batch, in page order.

        Each iteration carries its ``next_pagination``; ``records`` is empty, the rows being in the destination
        already: what the callback needs to acknowledge travels in ``next_pagination``. With the process runner the
        callback lives in another process than the source that fetched. An exception fails the run; the batch stays
        committed. Not promised: to be called again for a batch whose call was cut off by a crash.
        """


class NoOpSourceCallback(AbstractSourceCallback):
    """For sources that need not be told."""

    def on_iterations_written(self, iterations: list[SourceIteration]) -> None:
        return None
