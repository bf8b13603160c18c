"""Brokers for the tests of the queues."""

from collections.abc import Iterator

import pytest
from rabbitmq_server import Broker, rabbitmq_at


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ, at most one per worker."""
    with rabbitmq_at(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker
