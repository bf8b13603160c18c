"""Sync mode ``stream``: a member of a consumer group, which commits an offset once its message is safe.

1. ``read`` returns messages; ``track`` counts them as in flight.
2. The engine writes them and records its checkpoint.
3. ``commit`` passes their offsets to the group.

When a member dies between 2 and 3, the group delivers these messages again. To avoid such repeats, the pagination of a
page holds ``[committed, position]`` of each partition. A resumed run starts a partition at ``position`` if the group
still stands at ``committed`` by a commit of this source: then nobody else has read the partition, and nobody has reset
its offset. A member that was evicted returns by the same rule. When the group has no offset of a partition, the start
is committed before any message is returned, so that a group without offsets is one that has lost them.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bizon.common.errors.errors import SourceError, SourceFetchError
from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.broker_calls import Commits, cached_lag, commit_offsets
from bizon.connectors.sources.kafka.src.client import Client, Partition, is_cooperative, seek
from bizon.connectors.sources.kafka.src.client_errors import (
    error_of,
    fetch_error,
    is_eviction,
    is_out_of_range,
    is_transient,
    split_errors,
)
from bizon.connectors.sources.kafka.src.member_offsets import MemberOffsets, Offsets
from bizon.connectors.sources.kafka.src.membership import Membership
from bizon.connectors.sources.kafka.src.start_offsets import StartOffsets

if TYPE_CHECKING:
    from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig
    from bizon.source.member import Member

_SLICE = 0.2  # seconds of one wait inside librdkafka; the messages that have arrived by then become a page
_IDS_INTERVAL = 60.0  # seconds between two lookups of topic ids
_MOST_EVICTIONS = 5  # in a row, without a commit in between
_MOST_FAILED_COMMITS = 20  # in a row
_COMMIT_TIMEOUT = 30.0  # seconds; a coordinator that moves takes a few
_SETTINGS = {"auto.offset.reset": "error"}  # librdkafka would skip lost messages; StartOffsets decides every start


class GroupReader:
    """Reads as a member of the group. All calls, and so all callbacks, are on the thread that fetches."""

    def __init__(self, config: "KafkaSourceConfig", client: Client, member: "Member | None" = None) -> None:
        self._config = config
        self._client = client
        self._membership = Membership(config.group, member)
        self._starts = StartOffsets(config, client)
        self._offsets = MemberOffsets()
        self._consumer: Consumer | None = None
        self._commits = Commits(_COMMIT_TIMEOUT)
        self._out_of_range: set[Partition] = set()  # the broker does not have the offset to return next
        self._evictions = self._failed_commits = 0
        self._rebalanced = False
        self._is_cooperative = is_cooperative(config.settings)
        self._ids_due = time.monotonic() + _IDS_INTERVAL

    def resume(self, pagination: Mapping[str, Any]) -> None:
        """Start from a checkpoint, by the rule above. Called before the first ``read``, if at all."""
        self._starts.resume(pagination)

    def read(self, deadline: float) -> list[Message]:
        """The next messages, at most ``batch_size``, as soon as there are some; none when none arrive by ``deadline``.

        The caller passes them to ``track`` or ``skip``. Raises SourceFetchError.
        """
        messages: list[Message] = []
        while not messages and (left := deadline - time.monotonic()) > 0:
            self._recover_positions()
            consumer = self._consumer or self._join()
            self._rebalanced = False
            try:
                messages = consumer.consume(self._config.batch_size, min(left, _SLICE))
            except KafkaException as error:
                self._on_event(None, error_of(error))
            if self._membership.error is not None:
                raise self._membership.error
            messages = split_errors(messages, self._on_event)
            if self._rebalanced:
                messages = self._offsets.assigned(messages)
                self._commit_starts()
            self._offsets.advance(messages)
            self._find_recreated_topics()
        if messages:
            self._client.recovered()
        return messages

    def track(self, messages: Iterable[Message]) -> None:
        """These messages are on their way to the destination."""
        self._offsets.track(messages)

    def skip(self, messages: Iterable[Message]) -> None:
        """None of these messages is delivered: they are safe once all messages before them are."""
        must_wait = self._offsets.has_in_flight
        self._offsets.track(messages)
        if not must_wait:
            self.commit()

    def commit(self) -> None:
        """All tracked messages are safe: commit their offsets.

        An evicted member joins again, under the same name when membership is static. When a commit fails for a
        transient reason, the next commit covers its offsets, at the latest before a partition moves to another member.
        Raises SourceFetchError when it fails for good.
        """
        self._offsets.acknowledge()
        if not self._offsets.safe or self._consumer is None or self._membership.is_asking:
            return
        failure = self._commit(self._offsets.safe)
        if failure is None:
            self._evictions = self._failed_commits = 0
        elif is_eviction(failure):
            self._rejoin(failure)
        elif is_transient(failure) and self._failed_commits < _MOST_FAILED_COMMITS:
            self._failed_commits += 1
            self._client.report(failure, f"could not commit offsets yet: {failure.str()}; the next commit covers them")
        else:
            raise fetch_error("could not commit offsets, although their messages are safe", failure)

    def pagination(self) -> dict[str, Any]:
        """The checkpoint that ``resume`` takes."""
        return self._starts.pagination(self._offsets.committed, self._offsets.positions)

    def lag(self) -> int | None:
        """Messages after the last one returned, in this member's partitions, as of the last fetch.

        None before the first fetch.
        """
        return None if self._consumer is None else cached_lag(self._consumer, self._offsets.positions)

    def close(self) -> None:
        """Leave; a static member keeps its partitions until its session times out, so that a restart finds them. So
        does a member whose commit has not returned: its consumer is in use."""
        if self._consumer is not None:
            if not self._commits.is_stuck:
                self._consumer.close()
            self._consumer = None

    def _join(self) -> Consumer:
        self._consumer = consumer = self._client.consumer(**_SETTINGS)
        self._commits = Commits(_COMMIT_TIMEOUT)
        self._starts.check_partitions(consumer)
        names = [topic.name for topic in self._config.topics]
        consumer.subscribe(names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def _commit(self, offsets: Offsets, *, in_callback: bool = False) -> KafkaError | None:
        """Commit offsets; returns the reason when the group refuses some of them."""
        if self._consumer is None:
            return None
        accepted, failure = commit_offsets(
            self._consumer, None if in_callback else self._commits, offsets, self._starts.topic_id
        )
        self._offsets.record_commits(accepted)
        return failure

    def _commit_starts(self) -> None:
        """Give the group an offset of each partition. A partition without one is then new, or has lost it."""
        starts = self._offsets.safe_and_idle
        failure = self._commit(starts) if starts else None
        if failure is not None:  # the next commit covers them
            logger.debug(f"kafka: could not commit the start offsets yet: {failure.str()}")

    def _rejoin(self, cause: KafkaError) -> None:
        self._evictions += 1
        group, member = self._config.group, self._config.settings["group.instance.id"]
        if self._evictions > _MOST_EVICTIONS:
            raise SourceFetchError(
                f"kafka: evicted from group '{group}' {_MOST_EVICTIONS} times in a row: {cause.str()}; "
                f"is another consumer running with group.instance.id '{member}'?"
            )
        logger.warning(f"kafka: evicted from group '{group}' ({cause.str()}): joining again")
        if self._evictions == 1 and not cause.fatal() and not member:
            return  # librdkafka joins by itself; leaving would cause one more rebalance
        self._release(list(self._offsets.positions))
        with self._membership.evicted():
            self.close()

    def _on_event(self, message: Message | None, error: KafkaError) -> None:
        topic, number = (message.topic(), message.partition()) if message is not None else (None, None)
        if is_eviction(error):
            self._rejoin(error)
        elif is_out_of_range(error) and topic is not None and number is not None:
            self._out_of_range.add((topic, number))
        elif not is_transient(error):
            raise fetch_error("reading" if topic is None else f"reading topic '{topic}'", error)

    def _find_recreated_topics(self) -> None:
        """Compare topic ids now and then: the messages of a recreated topic look like those expected next."""
        if self._offsets.positions and time.monotonic() >= self._ids_due:
            self._out_of_range.update(self._starts.in_recreated_topics(self._offsets.positions))
            self._ids_due = time.monotonic() + _IDS_INTERVAL

    def _recover_positions(self) -> None:
        """Move on in partitions that have lost the next message, if ``on_data_loss`` allows it. All messages returned
        so far are tracked by now, so the new offsets are committed after them."""
        positions = self._offsets.positions
        lost = {key: positions[key] for key in self._out_of_range if key in positions}
        self._out_of_range.clear()
        if not lost or self._consumer is None:
            return
        try:
            moved = self._starts.restarts(self._consumer, lost)
        except KafkaException as error:
            raise fetch_error("could not read the offsets of partitions", error_of(error)) from None
        self._offsets.move(moved)
        seek(self._consumer, self._offsets.positions, moved, cooperative=self._is_cooperative)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalanced = True
        keys = [(each.topic, each.partition) for each in partitions]
        if not self._membership.claim(keys, self._starts.resume):
            return
        try:
            starts = self._starts.starts(consumer, keys)
        except SourceError as error:
            self._membership.fail(error)
            return
        for partition in partitions:
            key = (partition.topic, partition.partition)
            self._offsets.assign(key, starts[key])
            partition.offset = starts[key].position
        (consumer.incremental_assign if self._is_cooperative else consumer.assign)(partitions)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        keys = [(partition.topic, partition.partition) for partition in partitions]
        is_written = self._membership.write_all()
        due = {key: self._offsets.safe[key] for key in keys if key in self._offsets.safe}
        failure = self._commit(due, in_callback=True) if due else None
        if failure is not None:
            logger.warning(
                f"kafka: could not commit the offsets of revoked partitions: {failure.str()}; "
                "their messages will be delivered again"
            )
        self._release(keys)
        if is_written:
            self._membership.release(keys)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._release([(partition.topic, partition.partition) for partition in partitions])

    def _release(self, keys: Iterable[Partition]) -> None:
        """Other members may own the partitions now, and deliver the messages that are not safe."""
        self._rebalanced = True
        for key in keys:
            start = self._offsets.release(key)
            if start is not None:
                self._starts.remember(key, start)
