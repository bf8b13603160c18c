"""Sync mode ``stream``: a member of a consumer group, whose offsets are those of messages that are safe.

1. ``read`` returns messages; how far they reach is kept (``ahead``).
2. The engine writes them and records its checkpoint.
3. ``commit`` gives these offsets to the group.

A member that dies between 2 and 3 delivers messages again. So that this does not happen where it need not, a page's
pagination holds ``[committed, next]`` of each partition that is ahead of the group: a run that is resumed with it
starts such a partition at ``next``, provided that the group still stands at ``committed``, so that nobody else, and no
reset of the offsets, has come in between. A member that was evicted comes back by the same rule.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from loguru import logger

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src.client import (
    REQUEST_TIMEOUT,
    Client,
    Partition,
    error_of,
    fetch_error,
    is_eviction,
    is_passing,
    split_errors,
    text_of,
)
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig

Offsets = dict[Partition, int]
_SLICE = 0.2  # seconds of one wait inside librdkafka; what has arrived by then makes a page
_MOST_EVICTIONS = 5  # in a row, without a commit in between
_MOST_FAILED_COMMITS = 20  # in a row
_NOTHING = -1  # the group has no offset of a partition


class GroupReader:
    """Reads as a member of the group. All calls, and so all callbacks, are on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._consumer: Consumer | None = None
        self._ahead: Offsets = {}  # returned, perhaps not safe yet
        self._safe: Offsets = {}  # safe, and not given to the group yet
        self._committed: Offsets = {}  # where the group stands; has the partitions that are assigned, and no others
        self._starts: dict[Partition, tuple[int, int]] = {}  # (committed, next) of partitions that may come (back)
        self._evictions = self._failed_commits = 0
        self._rebalanced = False

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """Start where a checkpoint says, by the rule above. Called before the first ``read``, if at all."""
        for topic, partitions in pagination.get("topics", {}).items():
            for number, (committed, following) in partitions.items():
                self._starts[topic, int(number)] = (committed, following)

    def read(self, deadline: float) -> list[Message]:
        """Messages as soon as there are some, at most ``batch_size``; none when there are none until ``deadline``.

        They count as not safe until ``commit`` or ``pass_over``. Raises SourceFetchError.
        """
        messages: list[Message] = []
        while not messages and (left := deadline - time.monotonic()) > 0:
            consumer = self._consumer or self._joined()
            self._rebalanced = False
            try:
                messages = consumer.consume(self._config.batch_size, min(left, _SLICE))
            except KafkaException as error:
                self._on_event(None, error_of(error))
                continue
            messages = split_errors(messages, self._on_event)
            if self._rebalanced:
                messages = [each for each in messages if (each.topic(), each.partition()) in self._committed]
        if messages:
            self._client.heard()
        return messages

    def note(self, messages: Iterable[Message]) -> None:
        """These are on their way to the destination."""
        self._ahead.update(_following(messages))

    def pass_over(self, messages: Iterable[Message]) -> None:
        """Nothing of these is to be delivered: they are safe once what came before them is."""
        waiting = bool(self._ahead)
        self.note(messages)
        if not waiting:
            self.commit()

    def commit(self) -> None:
        """Everything noted is safe: give its offsets to the group.

        An eviction is mended by joining anew, under the same name when membership is static. A commit that fails for
        the moment is made good by the next one, or before the partition goes to another member. Raises SourceFetchError
        when it fails for good.
        """
        self._safe.update(self._ahead)
        self._ahead.clear()
        if not self._safe or self._consumer is None:
            return
        failure = self._commit(self._safe)
        if failure is None:
            self._evictions = self._failed_commits = 0
        elif is_eviction(failure):
            self._rejoin(failure)
        elif is_passing(failure) and self._failed_commits < _MOST_FAILED_COMMITS:
            self._failed_commits += 1
            logger.warning(f"kafka: offsets are not committed yet: {failure.str()}; the next commit covers them")
        else:
            raise fetch_error("offsets cannot be committed, what they stand for is safe", failure)

    def pagination(self) -> dict[str, Any]:
        """What ``resume`` takes: the partitions that are ahead of the group."""
        topics: dict[str, dict[str, list[int]]] = {}
        for (topic, number), following in {**self._safe, **self._ahead}.items():
            committed = self._committed.get((topic, number), _NOTHING)
            topics.setdefault(topic, {})[str(number)] = [committed, following]
        return {"topics": topics} if topics else {}

    def lag(self) -> int | None:
        """Messages between what was returned and the ends of this member's partitions, as the last fetch told them.

        None when nothing was told yet.
        """
        if self._consumer is None:
            return None
        lag, is_known = 0, False
        for topic, number in self._committed:
            partition = TopicPartition(topic, number)
            bounds = self._consumer.get_watermark_offsets(partition, cached=True)
            (here,) = self._consumer.position([partition])
            if bounds is not None and bounds[1] >= 0 and here.offset >= 0:
                lag, is_known = lag + max(bounds[1] - here.offset, 0), True
        return lag if is_known else None

    def close(self) -> None:
        """Leave; a static member keeps its partitions until the session times out, so that a restart finds them."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _joined(self) -> Consumer:
        self._consumer = consumer = self._client.consumer()
        names = [topic.name for topic in self._config.topics]
        consumer.subscribe(names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _commit(self, offsets: Offsets) -> KafkaError | None:
        """Why the group did not take them, or None; what it took is no longer waiting."""
        if self._consumer is None:
            return None
        wanted = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        try:
            answers = self._consumer.commit(offsets=wanted, asynchronous=False) or []
        except KafkaException as error:
            return error_of(error)
        failure = None
        for answer in answers:
            if answer.error is None:
                self._committed[answer.topic, answer.partition] = answer.offset
                self._safe.pop((answer.topic, answer.partition), None)
            else:
                failure = answer.error
        return failure

    def _rejoin(self, cause: KafkaError) -> None:
        self._evictions += 1
        if self._evictions > _MOST_EVICTIONS:
            raise SourceFetchError(
                f"kafka: evicted from group '{self._config.group_id}' {_MOST_EVICTIONS} times in a row: {cause.str()}; "
                f"is another consumer at work with group.instance.id '{self._config.settings['group.instance.id']}'?"
            )
        logger.warning(f"kafka: evicted from group '{self._config.group_id}' ({cause.str()}): joining again")
        if self._evictions == 1 and not cause.fatal() and not self._config.settings["group.instance.id"]:
            return  # librdkafka joins by itself; a member that left instead would set off one more rebalance
        self._let_go(list(self._committed))
        self.close()

    def _on_event(self, message: Message | None, error: KafkaError) -> None:
        if is_eviction(error):
            self._rejoin(error)
        elif not is_passing(error):
            where = "" if message is None or message.topic() is None else f" of topic '{message.topic()}'"
            raise fetch_error(f"reading{where}", error)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        stands = self._stands(consumer, partitions)
        moved = False
        for partition in partitions:
            key = (partition.topic, partition.partition)
            self._committed[key] = stands.get(key, _NOTHING)
            committed, following = self._starts.pop(key, (None, _NOTHING))
            if key in stands and stands[key] == committed:
                self._safe[key] = partition.offset = following
                moved = True
        if moved:
            (consumer.incremental_assign if self._is_cooperative else consumer.assign)(partitions)

    def _stands(self, consumer: Consumer, partitions: list[TopicPartition]) -> Offsets:
        """What the group has committed, as far as it can be told."""
        try:
            found = consumer.committed(partitions, timeout=REQUEST_TIMEOUT) if partitions else []
        except KafkaException as error:
            logger.warning(f"kafka: the offsets of the group are not told: {text_of(error)}")
            return {}
        return {(each.topic, each.partition): max(each.offset, _NOTHING) for each in found if each.error is None}

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        keys = [(partition.topic, partition.partition) for partition in partitions]
        due = {key: self._safe[key] for key in keys if key in self._safe}
        failure = self._commit(due) if due else None
        if failure is not None:
            logger.warning(f"kafka: offsets of revoked partitions are not committed: {failure.str()}; they come again")
        self._let_go(keys)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._let_go([(partition.topic, partition.partition) for partition in partitions])

    def _let_go(self, keys: Iterable[Partition]) -> None:
        """The partitions may be another's now. What is not safe is its to deliver; what is will not come again here."""
        self._rebalanced = True
        for key in keys:
            self._ahead.pop(key, None)
            following = self._safe.pop(key, None)
            committed = self._committed.pop(key, _NOTHING)
            if following is not None:
                self._starts[key] = (committed, following)

    @property
    def _is_cooperative(self) -> bool:
        settings = self._config.settings
        strategy = str(settings.get("partition.assignment.strategy", ""))
        return "cooperative" in strategy or settings.get("group.protocol") == "consumer"


def _following(messages: Iterable[Message]) -> Offsets:
    """The offset behind the last message of each partition; a partition's messages are in order."""
    last = {(message.topic(), message.partition()): message for message in messages}
    return {key: message.offset() + 1 for key, message in last.items()}  # type: ignore[misc, operator]
