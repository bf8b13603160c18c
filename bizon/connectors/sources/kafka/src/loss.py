"""Messages that are gone before they were read: how that is found out, and what becomes of the run.

Pure, but for the log: what the group, the checkpoint and the brokers say comes in as numbers.
"""

from typing import NamedTuple

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.client import Partition
from bizon.connectors.sources.kafka.src.config import OnDataLoss

_REMEDY = (
    "let retention keep messages longer than a stream stands still; source.on_data_loss: warn goes on without them"
)


class Loss(NamedTuple):
    """``missing``: how many messages, markers of transactions and compacted ones included; None when nobody knows."""

    key: Partition
    text: str
    missing: int | None = None


class LossPolicy:
    """``source.on_data_loss``. ``remedy``: what an error says at its end."""

    def __init__(self, policy: OnDataLoss, remedy: str = _REMEDY) -> None:
        self._policy = policy
        self._remedy = remedy
        self._missing = 0

    def report(self, losses: list[Loss], *, only_warn: bool = False) -> None:
        """Raise SourceFetchError, or count them in the log; nothing for none."""
        if not losses:
            return
        self._missing += sum(loss.missing or 0 for loss in losses)
        if self._policy is OnDataLoss.FAIL and not only_warn:
            more = f" (and {len(losses) - 1} more partitions, {self._missing:,} messages in all)"
            raise SourceFetchError(f"{_told(losses[0])}{more if len(losses) > 1 else ''}; {self._remedy}")
        for loss in losses:
            logger.warning(f"{_told(loss)}; going on without them, {self._missing:,} messages missing in this run")


def gap(key: Partition, position: int, bounds: tuple[int, int]) -> Loss | None:
    """What is gone when a partition is to be read from ``position``, and now has these bounds."""
    first, end = bounds
    if position < first:
        missing = first - position
        text = f"{missing:,} messages (offsets {position} to {first - 1}) were removed before they were read"
        return Loss(key, text, missing)
    if position > end:
        text = (
            f"was read up to offset {position}, and now ends at {end}, {position - end:,} before it: it was truncated, "
            "or its topic was deleted and created again, and what was not read by then is gone"
        )
        return Loss(key, text)
    return None


def cut(key: Partition, wanted: int, end: int) -> Loss:
    """A partition that was to be read up to ``wanted`` ends before that."""
    text = (
        f"was to be read up to offset {wanted}, and now ends at {end}: it was truncated, or its topic was deleted and "
        "created again, and what was not read by then is gone"
    )
    return Loss(key, text)


def recreated(key: Partition, position: int) -> Loss:
    """The topic of a partition is another one, of the same name."""
    text = (
        f"was read up to offset {position}, then its topic was deleted and created again, and what was not read by "
        "then is gone"
    )
    return Loss(key, text)


def gone(key: Partition, position: int) -> Loss:
    """The topic has fewer partitions."""
    text = (
        f"was read up to offset {position}, and is not there any more: its topic was deleted and created again with "
        "fewer partitions, and what was not read by then is gone"
    )
    return Loss(key, text)


def left_out(key: Partition, position: int, end: int) -> Loss | None:
    """The group has lost its offsets, and is to begin at the end."""
    if position >= end:
        return None
    text = (
        f"{end - position:,} messages (offsets {position} to {end - 1}) were not read, the offsets of the group are "
        "gone (deleted, or expired while the stream stood still), and auto.offset.reset is latest"
    )
    return Loss(key, text, end - position)


def _told(loss: Loss) -> str:
    topic, number = loss.key
    return f"kafka: topic '{topic}', partition {number}: {loss.text}"
