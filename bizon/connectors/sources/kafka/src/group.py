"""Sync mode ``stream``: a member of a consumer group, whose offsets are those of messages that are safe.

1. ``read`` returns messages; how far they reach is kept (``ahead``).
2. The engine writes them and records its checkpoint.
3. ``commit`` gives these offsets to the group.

A member that dies between 2 and 3 delivers messages again. So that this does not happen where it need not, a page's
pagination holds ``[committed, next]`` of each partition: a run that is resumed with it starts such a partition at
``next``, provided that the group still stands at ``committed`` by a commit of this source, so that nobody else, and no
reset of the offsets, has come in between. A member that was evicted comes back by the same rule. Where a partition
begins that the group has no offset of is committed before anything of it is returned: a group without offsets has lost
them.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceError, SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import rest
from bizon.connectors.sources.kafka.src.client import (
    Client,
    Partition,
    error_of,
    fetch_error,
    go_on_at,
    is_astray,
    is_cooperative,
    is_eviction,
    is_passing,
    split_errors,
    text_of,
)
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
from bizon.connectors.sources.kafka.src.lookups import NOTHING, marked
from bizon.connectors.sources.kafka.src.placement import Placement, Start

Offsets = dict[Partition, int]
_SLICE = 0.2  # seconds of one wait inside librdkafka; what has arrived by then makes a page
_IDS_INTERVAL = 60.0  # seconds between two looks at the ids of topics
_LOOKUP_TIMEOUT = 30.0  # seconds; for where partitions begin
_MOST_EVICTIONS = 5  # in a row, without a commit in between
_MOST_FAILED_COMMITS = 20  # in a row
_SETTINGS = {"auto.offset.reset": "error"}  # librdkafka would skip what is gone; each start comes from Placement


class GroupReader:
    """Reads as a member of the group. All calls, and so all callbacks, are on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._placement = Placement(config, client)
        self._consumer: Consumer | None = None
        self._following: Offsets = {}  # to be returned next; has the partitions that are assigned, and no others
        self._committed: Offsets = {}  # where the group stands with them
        self._ahead: Offsets = {}  # returned, perhaps not safe yet
        self._safe: Offsets = {}  # safe, and not given to the group yet
        self._astray: set[Partition] = set()  # the broker does not have what is to be returned next
        self._fault: SourceError | None = None  # found in a callback
        self._evictions = self._failed_commits = 0
        self._rebalanced = False
        self._is_cooperative = is_cooperative(config.settings)
        self._ids_due = time.monotonic() + _IDS_INTERVAL

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """Start where a checkpoint says, by the rule above. Called before the first ``read``, if at all."""
        self._placement.resume(pagination)

    def read(self, deadline: float) -> list[Message]:
        """Messages as soon as there are some, at most ``batch_size``; none when there are none until ``deadline``.

        They count as not safe until ``commit`` or ``pass_over``. Raises SourceFetchError.
        """
        messages: list[Message] = []
        while not messages and (left := deadline - time.monotonic()) > 0:
            self._find_again()
            consumer = self._consumer or self._joined()
            self._rebalanced = False
            try:
                messages = consumer.consume(self._config.batch_size, min(left, _SLICE))
            except KafkaException as error:
                self._on_event(None, error_of(error))
            if self._fault is not None:
                raise self._fault
            messages = split_errors(messages, self._on_event)
            if self._rebalanced:
                messages = [each for each in messages if (each.topic(), each.partition()) in self._following]
                self._commit_starts()
            self._following.update(_following(messages))
            self._look_for_other_topics()
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

        An eviction is mended by joining again, under the same name when membership is static. A commit that fails for
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
            self._client.trouble(
                failure, f"offsets are not committed yet: {failure.str()}; the next commit covers them"
            )
        else:
            raise fetch_error("offsets cannot be committed, what they stand for is safe", failure)

    def pagination(self) -> dict[str, Any]:
        """What ``resume`` takes."""
        return self._placement.pagination(self._committed, self._following)

    def lag(self) -> int | None:
        """Messages between what was returned and the ends of this member's partitions, as the last fetch told them.

        None when nothing was told yet.
        """
        if self._consumer is None:
            return None
        lag, is_known = 0, False
        for key, following in self._following.items():
            bounds = self._consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
            if bounds is not None and bounds[1] >= 0:
                lag, is_known = lag + max(bounds[1] - following, 0), True
        return lag if is_known else None

    def close(self) -> None:
        """Leave; a static member keeps its partitions until the session times out, so that a restart finds them."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _joined(self) -> Consumer:
        self._consumer = consumer = self._client.consumer(**_SETTINGS)
        self._placement.check_partitions(consumer)
        names = [topic.name for topic in self._config.topics]
        consumer.subscribe(names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _commit(self, offsets: Offsets) -> KafkaError | None:
        """Why the group did not take them, or None; what it took is no longer waiting."""
        if self._consumer is None:
            return None
        ids = self._placement.id_of
        wanted = [marked(key, offset, ids(key[0])) for key, offset in offsets.items()]
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

    def _commit_starts(self) -> None:
        """A group that has an offset of each partition: one without has lost it, or a partition is new."""
        starts = {key: offset for key, offset in self._safe.items() if key not in self._ahead}
        failure = self._commit(starts) if starts else None
        if failure is not None:  # the next commit covers them
            logger.debug(f"kafka: the start of partitions is not committed yet: {failure.str()}")

    def _rejoin(self, cause: KafkaError) -> None:
        self._evictions += 1
        group, member = self._config.group, self._config.settings["group.instance.id"]
        if self._evictions > _MOST_EVICTIONS:
            raise SourceFetchError(
                f"kafka: evicted from group '{group}' {_MOST_EVICTIONS} times in a row: {cause.str()}; "
                f"is another consumer at work with group.instance.id '{member}'?"
            )
        logger.warning(f"kafka: evicted from group '{group}' ({cause.str()}): joining again")
        if self._evictions == 1 and not cause.fatal() and not member:
            return  # librdkafka joins by itself; a member that left instead would set off one more rebalance
        self._let_go(list(self._following))
        self.close()

    def _on_event(self, message: Message | None, error: KafkaError) -> None:
        topic, number = (message.topic(), message.partition()) if message is not None else (None, None)
        if is_eviction(error):
            self._rejoin(error)
        elif is_astray(error) and topic is not None and number is not None:
            self._astray.add((topic, number))
        elif not is_passing(error):
            raise fetch_error("reading" if topic is None else f"reading of topic '{topic}'", error)

    def _look_for_other_topics(self) -> None:
        """Messages of a topic that was deleted and created again look like those that come next."""
        if self._following and time.monotonic() >= self._ids_due:
            self._astray.update(self._placement.of_other_topics(self._following))
            self._ids_due = time.monotonic() + _IDS_INTERVAL

    def _find_again(self) -> None:
        """Go on with partitions that have lost what was to be returned next, if ``on_data_loss`` has it so. Called
        when what was returned is noted, so that the offsets that follow it wait for it."""
        positions = {key: self._following[key] for key in self._astray if key in self._following}
        self._astray.clear()
        if not positions or self._consumer is None:
            return
        try:
            moved = self._placement.moved(self._consumer, positions)
        except KafkaException as error:
            raise fetch_error("offsets of partitions", error_of(error)) from None
        self._following.update(moved)
        for key, offset in moved.items():
            (self._ahead if key in self._ahead else self._safe)[key] = offset
        go_on_at(self._consumer, self._following, moved, cooperative=self._is_cooperative)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalanced = True
        try:
            starts = self._starts(consumer, [(each.topic, each.partition) for each in partitions])
        except SourceError as error:
            self._fault = error
            return
        for partition in partitions:
            key = (partition.topic, partition.partition)
            self._committed[key], self._following[key] = starts[key]
            partition.offset = self._following[key]
            if self._following[key] != self._committed[key]:
                self._safe[key] = self._following[key]
        (consumer.incremental_assign if self._is_cooperative else consumer.assign)(partitions)

    def _starts(self, consumer: Consumer, keys: list[Partition]) -> dict[Partition, Start]:
        """Asks until the brokers tell, as they may be electing a leader or a coordinator now."""
        deadline = time.monotonic() + _LOOKUP_TIMEOUT
        while True:
            try:
                return self._placement.starts(consumer, keys)
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise fetch_error("where partitions begin is not told", error_of(error)) from None
                self._client.trouble(error_of(error), f"where partitions begin is not told yet: {text_of(error)}")
            rest(_SLICE)

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
            self._following.pop(key, None)
            committed = self._committed.pop(key, NOTHING)
            following = self._safe.pop(key, committed)
            if following >= 0:
                self._placement.keep(key, committed, following)


def _following(messages: Iterable[Message]) -> Offsets:
    """The offset behind the last message of each partition; a partition's messages are in order."""
    last = {(message.topic(), message.partition()): message for message in messages}
    return {key: message.offset() + 1 for key, message in last.items()}  # type: ignore[misc, operator]
