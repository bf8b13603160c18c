"""The Kafka source keeps the contract of sources in a full refresh, on a real broker."""

from collections.abc import Callable
from typing import Any

import pytest
from connectors.sources.kafka.kafka_kit import PLAIN, numbered, produce

from bizon.testing.source import SourceConformance


class TestKafka(SourceConformance):
    @pytest.fixture
    def config(self, kafka_url: str, kafka_topics: Callable[..., str]) -> dict[str, Any]:
        self.empty_topic, topic = kafka_topics(), kafka_topics(partitions=2)
        for partition in range(2):
            produce(kafka_url, topic, numbered(range(partition * 10, partition * 10 + 10)), partition)
        return {
            "name": "kafka",
            "stream": "topic",
            "topics": [{"name": topic}],
            "bootstrap_servers": kafka_url,
            "consumer_config": PLAIN,
            "message_encoding": "utf-8",
            "batch_size": 7,
            "consumer_timeout": 10,
        }

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "topics": [{"name": self.empty_topic}]}
