"""Configuration of the in-process queue."""

from typing import Literal

from pydantic import Field

from bizon.config.strict import StrictModel
from bizon.engine.queue.config import AbstractQueueConfig, AbstractQueueConfigDetails, QueueTypes


class PythonQueueQueueConfig(StrictModel):
    """``engine.queue.config.queue``."""

    max_size: int = Field(default=0, ge=0, description="Pages that may wait in the queue; 0 = no limit on pages.")


class PythonQueueConfigDetails(AbstractQueueConfigDetails):
    """``engine.queue.config`` of the in-process queue."""

    queue: PythonQueueQueueConfig = Field(default_factory=PythonQueueQueueConfig, description="Size of the queue.")


class PythonQueueConfig(AbstractQueueConfig):
    """``engine.queue: {type: python_queue}``: pages wait in memory."""

    type: Literal[QueueTypes.PYTHON_QUEUE] = Field(description="python_queue")
    config: PythonQueueConfigDetails = Field(
        default_factory=PythonQueueConfigDetails, description="Settings; all have defaults."
    )
