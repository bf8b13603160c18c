"""The readers and the page builder put together. Loaded only once the Kafka packages are needed."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bizon.connectors.sources.kafka.src.client import Client
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig, MessageEncoding
from bizon.connectors.sources.kafka.src.group import GroupReader
from bizon.connectors.sources.kafka.src.page_builder import PageBuilder
from bizon.connectors.sources.kafka.src.registry import Registry
from bizon.connectors.sources.kafka.src.snapshot import SnapshotReader
from bizon.source.models import SourceIteration

if TYPE_CHECKING:
    from bizon.source.member import Member
    from bizon.source.session import Session


class TopicReader:
    """Created once per run, used on the thread that fetches."""

    def __init__(self, config: KafkaSourceConfig, session: "Session", member: "Member | None" = None) -> None:
        self._config = config
        self._client = Client(config)
        registry = None
        if config.message_encoding is MessageEncoding.AVRO and config.authentication is not None:
            registry = Registry(config.authentication, session)
        self._pages = PageBuilder(config, registry)
        self._group = GroupReader(config, self._client, member)
        self._snapshot = SnapshotReader(config, self._client)
        self._has_resumed = False

    def check(self) -> None:
        """Raise SourceConnectionError unless all topics exist."""
        consumer = self._client.consumer(**{"group.instance.id": ""})
        try:
            for topic in self._config.topics:
                self._client.partitions(consumer, topic.name)
        finally:
            consumer.close()

    def total(self) -> int:
        """Offsets that a full refresh covers."""
        return self._snapshot.total()

    def snapshot_page(self, pagination: Mapping[str, Any]) -> SourceIteration:
        """A page of a full refresh."""
        messages, following = self._snapshot.read(pagination)
        return SourceIteration(next_pagination=following, records=self._pages.page(messages) or [])

    def stream_page(self, pagination: Mapping[str, Any], deadline: float) -> SourceIteration:
        """A page of the stream. Messages that are all skipped do not end the wait."""
        if not self._has_resumed:
            self._has_resumed = True
            self._group.resume(pagination)
        while time.monotonic() < deadline and (messages := self._group.read(deadline)):
            records = self._pages.page(messages)
            if records is not None:
                self._group.track(messages)
                return SourceIteration(next_pagination=self._group.pagination(), records=records)
            self._group.skip(messages)
        return SourceIteration(next_pagination={})

    def lag(self) -> int | None:
        """Messages of the stream that were not returned yet; None when unknown."""
        return self._group.lag()

    def commit(self) -> None:
        """All messages returned so far are safe."""
        self._group.commit()

    def close(self) -> None:
        """Disconnect from the brokers."""
        self._group.close()
        self._snapshot.close()
