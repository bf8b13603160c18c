"""A Kafka queue passes the suite at two brokers of different makes, at the second with fewer tests."""

import pytest
from confluent_kafka import Producer
from kafka import delete_topics

from bizon.engine.backend.models import StreamKey
from bizon.engine.queue.adapters.kafka.config import KafkaConfig
from bizon.testing.broker_queue import BrokerConformance


def config_for(url: str) -> KafkaConfig:
    return KafkaConfig.model_validate({"type": "kafka", "config": {"queue": {"bootstrap_server": url}}})


@pytest.mark.matrix(share=4, pool="brokers")
class TestKafkaQueue(BrokerConformance):
    @pytest.fixture
    def config(self, kafka_url: str) -> KafkaConfig:
        return config_for(kafka_url)

    def put_bytes(self, config: KafkaConfig, stream: StreamKey, body: bytes) -> None:
        producer = Producer({"bootstrap.servers": config.config.queue.bootstrap_server})
        producer.produce(stream.broker_name, body, partition=0)
        assert producer.flush(20) == 0

    def discard(self, config: KafkaConfig, stream: StreamKey) -> None:
        delete_topics(config.config.queue.bootstrap_server, [stream.broker_name])


class TestKafkaQueueOnTansu(TestKafkaQueue):
    @pytest.fixture
    def config(self, tansu_url: str) -> KafkaConfig:
        return config_for(tansu_url)
