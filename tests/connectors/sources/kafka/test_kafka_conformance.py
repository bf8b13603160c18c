"""The Kafka source keeps the contract of sources in a full refresh, on a real broker."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from connectors.sources.kafka.kafka_kit import PLAIN, numbered, produce

from bizon.connectors.sources.kafka.src.source import KafkaSource
from bizon.testing.source import SourceConformance


@pytest.mark.matrix(share=6, pool="sources")
class TestKafka(SourceConformance):
    source_class = KafkaSource
    not_applicable: ClassVar = {
        "wrong_credentials_say_so_in_one_line": "the configuration holds no secret",
        "no_output_shows_a_secret": "the configuration holds no secret",
        "nothing_follows_the_last_page": "the pagination holds no text or number",
    }

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
