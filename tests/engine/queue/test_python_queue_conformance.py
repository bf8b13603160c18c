"""The in-process queue passes the suite."""

import pytest

from bizon.engine.backend.models import Role, StreamKey
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfig
from bizon.engine.queue.config import QueueTypes
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.testing.queue import BUDGET, OpenQueue, QueueConformance


class TestPythonQueue(QueueConformance):
    @pytest.fixture
    def config(self) -> PythonQueueConfig:
        return PythonQueueConfig(type=QueueTypes.PYTHON_QUEUE)

    @pytest.fixture
    def open_queue(self, config: PythonQueueConfig) -> OpenQueue:
        """Both roles use the same object."""
        shared: AbstractQueue = QueueFactory.get_queue(config, budget=BUDGET)

        def open_one(which: Role, key: StreamKey) -> AbstractQueue:
            shared.connect()
            return shared

        return open_one
