"""The receipt that a source gets after a commit."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from bizon.source.config import SourceConfig
    from bizon.source.models import SourceIteration


class AbstractSourceCallback(ABC):
    """Learns which pages are safe. A source that acknowledges its input (a queue, a log) does so here."""

    needs_every_page: ClassVar[bool] = True
    """Whether ``on_iterations_written`` reads the pagination of each page, not only of the last one."""

    def __init__(self, config: "SourceConfig") -> None:
        self.config = config

    @abstractmethod
    def on_iterations_written(self, iterations: list["SourceIteration"]) -> None:
        """Called by the loader, on the consumer's side, once per committed batch, in page order.

        Each iteration carries its ``next_pagination``. ``records`` is empty, since the rows are already in the
        destination: put the data that an acknowledgement needs into ``next_pagination``. With the process runner the
        callback lives in another process than the source that fetches. An exception fails the run; the batch stays
        committed. Not promised: a second call for a batch whose call was interrupted by a crash.
        """


class NoOpSourceCallback(AbstractSourceCallback):
    """For sources that acknowledge nothing."""

    needs_every_page = False

    def on_iterations_written(self, iterations: list["SourceIteration"]) -> None:
        return None
