"""Where a group member starts to read its partitions, and whether messages before that are lost.

librdkafka would choose a start by itself, and skip lost messages in silence. So this module decides each start:

| the group has committed             | the checkpoint says       | start                                              |
|-------------------------------------|---------------------------|----------------------------------------------------|
| an offset, by this source           | that offset or less, and  | position: the run died before it could commit      |
|                                     | position, that or more    |                                                    |
| an offset                           | anything else, or nothing | the offset                                         |
| nothing: its offsets are gone       | the partition was read    | by ``auto.offset.reset``, with a warning           |
| nothing: it never had one           | nothing                   | by ``auto.offset.reset``; the first message if     |
|                                     |                           | other partitions of the topic have been read       |

A start before the first message, after the end, or in a topic that was recreated, is a loss.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off
from bizon.connectors.sources.kafka.src import data_loss
from bizon.connectors.sources.kafka.src.broker_calls import (
    NO_OFFSET,
    CommittedOffset,
    bounds,
    committed_offsets,
    topic_ids,
)
from bizon.connectors.sources.kafka.src.client_errors import error_of, fetch_error, text_of
from bizon.connectors.sources.kafka.src.data_loss import DataLoss, DataLossPolicy
from bizon.connectors.sources.kafka.src.legacy_group import LegacyGroup
from bizon.connectors.sources.kafka.src.member_offsets import Start

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.client import Client, Partition
    from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

_LATEST = frozenset({"latest", "largest", "end"})
_REFUSED = frozenset({"error", "none"})
_RETRY_WAIT, _PATIENCE = 0.2, 30.0  # seconds; between two lookups of the starts, and for all of them


class StartOffsets:
    """Knows how far the last checkpoint, and this run, have read each partition."""

    def __init__(self, config: "KafkaSourceConfig", client: "Client") -> None:
        self._config = config
        self._client = client
        self._policy = DataLossPolicy(config.on_data_loss)
        self._legacy_group = LegacyGroup(config, client)
        self._reset = str(config.settings["auto.offset.reset"]).lower()
        self._remembered: dict[Partition, Start] = {}  # of partitions that are not assigned now
        self._read_topics: set[str] = set()  # at least one partition has been read
        self._ids: dict[str, str] = {}  # of topics, as far as known
        self._latest_ids: dict[str, str] = {}  # from the last lookup
        self._is_legacy_state = False  # written by a release that did not mark its commits
        self._legacy_group.resume({})

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """Take over the last checkpoint; in a member, once for each partition that it claims."""
        self._legacy_group.resume(pagination)
        self._is_legacy_state = "group" not in pagination
        group = pagination.get("group", self._config.group)
        if group != self._config.group:
            logger.warning(
                f"kafka: the last checkpoint is from group '{group}'; group '{self._config.group}' starts at its own "
                f"offsets, or by auto.offset.reset ({self._reset})"
            )
            return
        self._ids = {**pagination.get("ids", {}), **self._ids}
        if not self._is_legacy_state:  # a legacy state does not tell which partitions were read
            self._read_topics.update(pagination.get("topics", {}))
        for topic, partitions in pagination.get("topics", {}).items():
            for number, (committed, position) in partitions.items():
                self.remember((topic, int(number)), Start(committed, position))

    def remember(self, key: "Partition", start: Start) -> None:
        """Keep the start of a partition that is not assigned (any more)."""
        self._remembered[key] = start

    def topic_id(self, topic: str) -> str:
        """The id of a topic; empty when unknown."""
        return self._ids.get(topic, "")

    def pagination(self, committed: Mapping["Partition", int], positions: Mapping["Partition", int]) -> dict[str, Any]:
        """The checkpoint that ``resume`` takes."""
        topics: dict[str, dict[str, list[int]]] = {}
        for key, position in positions.items():
            topics.setdefault(key[0], {})[str(key[1])] = [committed.get(key, NO_OFFSET), position]
        ids = {topic: self._ids[topic] for topic in topics if self._ids.get(topic)}
        return {"group": self._config.group, "topics": topics, **({"ids": ids} if ids else {})}

    def check_partitions(self, consumer: Consumer) -> None:
        """Report partitions that no longer exist. Called before the member joins its group. Raises SourceFetchError."""
        read = {topic for topic, _ in self._remembered}
        existing = {
            topic.name: set(self._client.partitions(consumer, topic.name))
            for topic in self._config.topics
            if topic.name in read
        }
        lost = [key for key in self._remembered if key[0] in existing and key[1] not in existing[key[0]]]
        self._policy.report(
            [data_loss.removed_partition(key, self._remembered.pop(key).position) for key in sorted(lost)]
        )

    def starts(self, consumer: Consumer, keys: list["Partition"]) -> dict["Partition", Start]:
        """The starts of partitions that are assigned now. Retries, as the brokers may be electing a leader or a
        coordinator. Raises SourceFetchError."""
        for attempt in back_off(_RETRY_WAIT, _RETRY_WAIT, patience=_PATIENCE):
            try:
                return self._look_up_starts(consumer, keys)
            except KafkaException as error:
                if attempt.is_last:
                    raise fetch_error("could not read the start offsets of partitions", error_of(error)) from None
                self._client.report(error_of(error), f"could not read the start offsets yet: {text_of(error)}")
        raise AssertionError("the last attempt returns or raises")

    def in_recreated_topics(self, keys: Iterable["Partition"]) -> list["Partition"]:
        """The partitions whose topic was deleted and created again."""
        wanted = list(keys)
        self._latest_ids = topic_ids(self._client.settings, (topic for topic, _ in wanted))
        return [
            key
            for key in wanted
            if self.topic_id(key[0]) and self._latest_ids[key[0]] not in ("", self.topic_id(key[0]))
        ]

    def restarts(self, consumer: Consumer, positions: Mapping["Partition", int]) -> dict["Partition", int]:
        """Where to continue when the brokers do not have the positions of a member. Raises SourceFetchError, and
        KafkaException when the brokers do not answer."""
        edges = bounds(consumer, positions)
        recreated = set(self.in_recreated_topics(positions))
        losses = {
            key: data_loss.recreated_topic(key, position)
            if key in recreated
            else data_loss.out_of_bounds(key, position, edges[key])
            for key, position in positions.items()
        }
        self._policy.report([each for each in losses.values() if each is not None])
        self._ids.update({topic: each for topic, each in self._latest_ids.items() if each})
        return {key: edges[key][0] if losses[key] else position for key, position in positions.items()}

    def _look_up_starts(self, consumer: Consumer, keys: list["Partition"]) -> dict["Partition", Start]:
        committed = committed_offsets(consumer, keys)
        adopted = self._legacy_group.offsets_to_adopt(key for key in keys if committed[key].offset < 0)
        edges = bounds(consumer, keys)
        ids = topic_ids(self._client.settings, (topic for topic, _ in keys))
        found: dict[Partition, Start] = {}
        losses: list[DataLoss] = []
        repeats = 0
        for key in keys:
            offset = CommittedOffset(adopted[key]) if key in adopted else committed[key]
            position, lost = self._position(key, offset, edges[key], ids[key[0]])
            found[key] = Start(committed[key].offset, position)
            losses += filter(None, [lost])
            repeats += max(self._position_without_offset(key, offset) - position, 0) if lost is None else 0
        self._policy.report(losses)
        if repeats:
            logger.warning(
                f"kafka: the offsets of group '{self._config.group}' are gone (deleted, or expired while the stream "
                f"was stopped): {repeats:,} messages will be delivered again"
            )
        for key in keys:
            self._remembered.pop(key, None)
            self._read_topics.add(key[0])
        self._ids.update({topic: each for topic, each in ids.items() if each})
        return found

    def _position(
        self, key: "Partition", committed: CommittedOffset, edges: tuple[int, int], topic_id: str
    ) -> tuple[int, DataLoss | None]:
        """Where to start to read a partition, and the loss before that."""
        first, end = edges
        remembered = self._remembered.get(key)
        position = self._read_up_to(key, committed)
        if position < 0:
            return self._first_position(key, edges), None
        is_from_checkpoint = remembered is not None and committed.offset in (NO_OFFSET, *remembered)
        read_id = committed.topic_id or (self.topic_id(key[0]) if is_from_checkpoint else "")
        if topic_id and read_id and topic_id != read_id:
            return first, data_loss.recreated_topic(key, position)
        lost = data_loss.out_of_bounds(key, position, edges)
        if lost is not None:
            return first, lost
        if committed.offset >= 0 or self._died_before_commit(key, committed):
            return position, None
        if self._reset in _LATEST:
            return end, data_loss.skipped_to_end(key, position, end)
        self._check_reset(key)
        return first, None

    def _read_up_to(self, key: "Partition", committed: CommittedOffset) -> int:
        """The offset up to which a partition has been read, as far as known."""
        remembered = self._remembered.get(key)
        if remembered is not None and (committed.offset == NO_OFFSET or self._died_before_commit(key, committed)):
            return remembered.position
        return committed.offset

    def _died_before_commit(self, key: "Partition", committed: CommittedOffset) -> bool:
        """Whether the group still stands where the checkpoint saw it, without anybody having moved it back there; or a
        little further, by a commit of this source whose answer was lost."""
        remembered = self._remembered.get(key)
        if remembered is None:
            return False
        if committed.is_ours:
            return remembered.committed <= committed.offset <= remembered.position
        is_untouched = committed.offset == NO_OFFSET or self._is_legacy_state
        return remembered.committed == committed.offset and is_untouched

    def _position_without_offset(self, key: "Partition", committed: CommittedOffset) -> int:
        """The offset up to which a partition was read whose committed offset is gone; 0 for all others."""
        remembered = self._remembered.get(key)
        if remembered is None or committed.offset >= 0 or remembered.committed < 0:
            return 0
        return remembered.position

    def _first_position(self, key: "Partition", edges: tuple[int, int]) -> int:
        if key[0] in self._read_topics:
            return edges[0]  # the partition was added during the stream: its first messages belong to the stream too
        self._check_reset(key)
        return edges[1] if self._reset in _LATEST else edges[0]

    def _check_reset(self, key: "Partition") -> None:
        if self._reset in _REFUSED:
            raise SourceFetchError(
                f"kafka: group '{self._config.group}' has no offset of topic '{key[0]}', partition {key[1]}, and "
                f"auto.offset.reset is {self._reset}; commit one, or set it to earliest or latest"
            )
