"""Messages that were removed before they were read: how the source detects them, and how the run responds.

Pure, except for the log: the offsets of the group, the checkpoint and the brokers are arguments.
"""

from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.config import OnDataLoss

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.client import Partition

_REMEDY = (
    "let retention keep messages longer than a stream is stopped; source.on_data_loss: warn continues without them"
)


class DataLoss(NamedTuple):
    """``missing``: the number of messages, transaction markers and compacted ones included; None when unknown."""

    key: "Partition"
    text: str
    missing: int | None = None

    def __str__(self) -> str:
        topic, number = self.key
        return f"kafka: topic '{topic}', partition {number}: {self.text}"


class DataLossPolicy:
    """``source.on_data_loss``. ``remedy``: the end of each error."""

    def __init__(self, policy: OnDataLoss, remedy: str = _REMEDY) -> None:
        self._policy = policy
        self._remedy = remedy
        self._missing = 0

    def report(self, losses: list[DataLoss]) -> None:
        """Raise SourceFetchError, or warn, by ``on_data_loss``. Does nothing without losses."""
        if not losses or self._policy is not OnDataLoss.FAIL:
            self.warn(losses)
            return
        self._count(losses)
        more = f" (and {len(losses) - 1} more partitions, {self._missing:,} messages in all)" if len(losses) > 1 else ""
        raise SourceFetchError(f"{losses[0]}{more}; {self._remedy}")

    def warn(self, losses: list[DataLoss]) -> None:
        """Log a warning per loss, whatever ``on_data_loss`` is."""
        self._count(losses)
        for loss in losses:
            logger.warning(f"{loss}; continuing without them, {self._missing:,} messages missing in this run")

    def _count(self, losses: list[DataLoss]) -> None:
        self._missing += sum(loss.missing or 0 for loss in losses)


def out_of_bounds(key: "Partition", position: int, bounds: tuple[int, int]) -> DataLoss | None:
    """The loss when a partition with these bounds is to be read from ``position``, if any."""
    first, end = bounds
    if position < first:
        missing = first - position
        text = f"{missing:,} messages (offsets {position} to {first - 1}) were removed before they were read"
        return DataLoss(key, text, missing)
    if position > end:
        text = (
            f"was read up to offset {position}, and now ends at {end}, {position - end:,} before it: it was truncated, "
            "or its topic was deleted and created again, and messages not read by then are lost"
        )
        return DataLoss(key, text)
    return None


def truncated(key: "Partition", wanted: int, end: int) -> DataLoss:
    """A partition that was to be read up to ``wanted`` ends before that."""
    text = (
        f"was to be read up to offset {wanted}, and now ends at {end}: it was truncated, or its topic was deleted and "
        "created again, and messages not read by then are lost"
    )
    return DataLoss(key, text)


def recreated_topic(key: "Partition", position: int) -> DataLoss:
    """The topic of a partition is another one with the same name."""
    text = (
        f"was read up to offset {position}, then its topic was deleted and created again, and messages not read by "
        "then are lost"
    )
    return DataLoss(key, text)


def removed_partition(key: "Partition", position: int) -> DataLoss:
    """The topic has fewer partitions than before."""
    text = (
        f"was read up to offset {position}, and no longer exists: its topic was deleted and created again with fewer "
        "partitions, and messages not read by then are lost"
    )
    return DataLoss(key, text)


def skipped_to_end(key: "Partition", position: int, end: int) -> DataLoss | None:
    """The group has lost its offsets, and ``auto.offset.reset`` makes it start at the end."""
    if position >= end:
        return None
    text = (
        f"{end - position:,} messages (offsets {position} to {end - 1}) were not read: the offsets of the group are "
        "gone (deleted, or expired while the stream was stopped), and auto.offset.reset is latest"
    )
    return DataLoss(key, text, end - position)
