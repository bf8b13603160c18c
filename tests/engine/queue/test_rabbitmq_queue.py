"""The RabbitMQ queue at a real broker."""

from typing import Any

import pytest
from rabbitmq_server import Broker

from bizon.engine.backend.models import StreamKey
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.models import broker_name
from bizon.testing.broker_queue import BrokerConformance


def config_for(broker: Broker, **queue: Any) -> RabbitMQConfig:
    block = {"max_message_size": 500_000, **broker._asdict(), **queue}
    return RabbitMQConfig.model_validate({"type": "rabbitmq", "config": {"queue": block}})


class TestRabbitMQQueue(BrokerConformance):
    @pytest.fixture
    def config(self, rabbitmq: Broker) -> RabbitMQConfig:
        return config_for(rabbitmq)

    def put_bytes(self, config: RabbitMQConfig, stream: StreamKey, body: bytes) -> None:
        broker_of(config).publish(broker_name(stream), body)

    def discard(self, config: RabbitMQConfig, stream: StreamKey) -> None:
        broker_of(config).delete(broker_name(stream))


def broker_of(config: RabbitMQConfig) -> Broker:
    queue = config.config.queue
    return Broker(queue.host, queue.port, queue.username, queue.password, queue.virtual_host)
