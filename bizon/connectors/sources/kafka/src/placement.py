"""Where the partitions of a group's member begin, and whether something is missing before that.

librdkafka would begin somewhere by itself, and skip what is gone without a word. So it gets each start from here:

| the group stands at                 | the checkpoint says       | start                                             |
|-------------------------------------|---------------------------|---------------------------------------------------|
| an offset that this source has set  | committed there, and next | next: the run died before it could commit         |
| an offset                           | anything else, or nothing | the offset                                        |
| nothing: its offsets are gone       | that it has been read     | by ``auto.offset.reset``, with a word on it       |
| nothing: it has never had one       | nothing                   | by ``auto.offset.reset``; the first message, when |
|                                     |                           | other partitions of the topic have been read      |

A start that is before the first message, behind the end, or in a topic that is another one now, is a loss.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src import loss
from bizon.connectors.sources.kafka.src.client import Client, Partition
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.connectors.sources.kafka.src.lookups import NOTHING, Stand, bounds, stands, topic_ids
from bizon.connectors.sources.kafka.src.loss import Loss, LossPolicy
from bizon.connectors.sources.kafka.src.older_group import OlderGroup

_AT_THE_END = frozenset({"latest", "largest", "end"})
_NOWHERE = frozenset({"error", "none"})


class Start(NamedTuple):
    """Where the group stands with a partition, and where it is to be read from."""

    committed: int
    following: int


class Placement:
    """Knows what the last checkpoint, and this run, have read of each partition."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._policy = LossPolicy(config.on_data_loss)
        self._older = OlderGroup(config, client)
        self._reset = str(config.settings["auto.offset.reset"]).lower()
        self._known: dict[Partition, Start] = {}  # of partitions that are not assigned now
        self._topics: set[str] = set()  # of which something has been read
        self._ids: dict[str, str] = {}  # of topics, as far as known
        self._is_older_state = False  # of a release whose commits bear no mark
        self._told_ids: dict[str, str] = {}  # as the brokers told them last
        self._older.heed({})

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """What the last checkpoint says."""
        self._older.heed(pagination)
        self._is_older_state = "group" not in pagination
        group = pagination.get("group", self._config.group)
        if group != self._config.group:
            logger.warning(
                f"kafka: the last checkpoint is of group '{group}'; group '{self._config.group}' begins where it "
                f"stands, or by auto.offset.reset ({self._reset})"
            )
            return
        self._ids = dict(pagination.get("ids", {}))
        if not self._is_older_state:  # which does not say of which partitions nothing has been read
            self._topics.update(pagination.get("topics", {}))
        for topic, partitions in pagination.get("topics", {}).items():
            for number, (committed, following) in partitions.items():
                self.keep((topic, int(number)), committed, following)

    def keep(self, key: Partition, committed: int, following: int) -> None:
        """A partition that is not assigned (any more)."""
        self._known[key] = Start(committed, following)

    def id_of(self, topic: str) -> str:
        """The id of a topic, or empty."""
        return self._ids.get(topic, "")

    def pagination(self, committed: Mapping[Partition, int], following: Mapping[Partition, int]) -> dict[str, Any]:
        """What ``resume`` takes."""
        topics: dict[str, dict[str, list[int]]] = {}
        for key, offset in following.items():
            topics.setdefault(key[0], {})[str(key[1])] = [committed.get(key, NOTHING), offset]
        ids = {topic: self._ids[topic] for topic in topics if self._ids.get(topic)}
        return {"group": self._config.group, "topics": topics, **({"ids": ids} if ids else {})}

    def check_partitions(self, consumer: Consumer) -> None:
        """Report partitions that are gone. Called before the group is joined. Raises SourceFetchError."""
        read = {topic for topic, _ in self._known}
        there = {
            topic.name: set(self._client.partitions(consumer, topic.name))
            for topic in self._config.topics
            if topic.name in read
        }
        lost = [key for key in self._known if key[0] in there and key[1] not in there[key[0]]]
        self._policy.report([loss.gone(key, self._known.pop(key).following) for key in sorted(lost)])

    def starts(self, consumer: Consumer, keys: list[Partition]) -> dict[Partition, Start]:
        """Where partitions that are assigned now begin. Raises SourceFetchError, KafkaException."""
        group = stands(consumer, keys)
        adopted = self._older.offsets(key for key in keys if group[key].offset < 0)
        edges = bounds(consumer, keys)
        ids = topic_ids(self._client.settings, (topic for topic, _ in keys))
        found: dict[Partition, Start] = {}
        losses: list[Loss] = []
        again = 0
        for key in keys:
            stand = Stand(adopted[key]) if key in adopted else group[key]
            following, lost = self._start(key, stand, edges[key], ids[key[0]])
            found[key] = Start(group[key].offset, following)
            losses += filter(None, [lost])
            again += max(self._read_before(key, stand) - following, 0) if lost is None else 0
        self._policy.report(losses)
        if again:
            logger.warning(
                f"kafka: the offsets of group '{self._config.group}' are gone (deleted, or expired while the stream "
                f"stood still): {again:,} messages that were read before come again"
            )
        for key in keys:
            self._known.pop(key, None)
            self._topics.add(key[0])
        self._ids.update({topic: each for topic, each in ids.items() if each})
        return found

    def of_other_topics(self, keys: Iterable[Partition]) -> list[Partition]:
        """The partitions whose topic is another one now, of the same name."""
        wanted = list(keys)
        self._told_ids = topic_ids(self._client.settings, (topic for topic, _ in wanted))
        return [key for key in wanted if self.id_of(key[0]) and self._told_ids[key[0]] not in ("", self.id_of(key[0]))]

    def moved(self, consumer: Consumer, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Where to go on when the brokers do not have the positions of a member. Raises as ``starts`` does."""
        edges = bounds(consumer, positions)
        others = set(self.of_other_topics(positions))
        losses = {
            key: loss.recreated(key, position) if key in others else loss.gap(key, position, edges[key])
            for key, position in positions.items()
        }
        self._policy.report([each for each in losses.values() if each is not None])
        self._ids.update({topic: each for topic, each in self._told_ids.items() if each})
        return {key: edges[key][0] if losses[key] else position for key, position in positions.items()}

    def _start(self, key: Partition, stand: Stand, edges: tuple[int, int], topic_id: str) -> tuple[int, Loss | None]:
        first, end = edges
        known = self._known.get(key)
        position = self._position(key, stand)
        if position < 0:
            return self._first_start(key, edges), None
        read_as = stand.topic_id or (self.id_of(key[0]) if known and stand.offset in (NOTHING, *known) else "")
        if topic_id and read_as and topic_id != read_as:
            return first, loss.recreated(key, position)
        lost = loss.gap(key, position, edges)
        if lost is not None:
            return first, lost
        if stand.offset >= 0 or self._died_before_commit(key, stand):
            return position, None
        if self._reset in _AT_THE_END:
            return end, loss.left_out(key, position, end)
        self._refuse_nowhere(key)
        return first, None

    def _position(self, key: Partition, stand: Stand) -> int:
        """Up to where a partition has been read, as far as is known."""
        known = self._known.get(key)
        if known is not None and (stand.offset == NOTHING or self._died_before_commit(key, stand)):
            return known.following
        return stand.offset

    def _died_before_commit(self, key: Partition, stand: Stand) -> bool:
        """The group stands where the checkpoint saw it, and not because somebody has moved it back there."""
        known = self._known.get(key)
        is_untouched = stand.is_ours or stand.offset == NOTHING or self._is_older_state
        return known is not None and known.committed == stand.offset and is_untouched

    def _read_before(self, key: Partition, stand: Stand) -> int:
        """Up to where a partition had been read whose offsets are gone; 0 for others."""
        known = self._known.get(key)
        is_gone = known is not None and stand.offset < 0 and known.committed >= 0
        return known.following if known is not None and is_gone else 0

    def _first_start(self, key: Partition, edges: tuple[int, int]) -> int:
        if key[0] in self._topics:
            return edges[0]  # a partition that was added: what came before it was seen counts too
        self._refuse_nowhere(key)
        return edges[1] if self._reset in _AT_THE_END else edges[0]

    def _refuse_nowhere(self, key: Partition) -> None:
        if self._reset in _NOWHERE:
            raise SourceFetchError(
                f"kafka: group '{self._config.group}' has no offset of topic '{key[0]}', partition {key[1]}, and "
                f"auto.offset.reset is {self._reset}; commit one, or make it earliest or latest"
            )
