"""The ``engine`` block: state, queue and runner."""

from typing import Annotated

from pydantic import Field, model_validator

from bizon.config.strict import StrictModel
from bizon.engine.backend.adapters.sqlalchemy.config import (
    BigQuerySQLAlchemyConfig,
    PostgresSQLAlchemyConfig,
    SQLiteInMemoryConfig,
    SQLiteSQLAlchemyConfig,
)
from bizon.engine.backend.config import BackendTypes
from bizon.engine.queue.adapters.kafka.config import KafkaConfig
from bizon.engine.queue.adapters.python_queue.config import PythonQueueConfig
from bizon.engine.queue.adapters.rabbitmq.config import RabbitMQConfig
from bizon.engine.queue.config import QueueTypes
from bizon.engine.runner.config import RunnerConfig, RunnerTypes

BackendConfig = Annotated[
    SQLiteSQLAlchemyConfig | SQLiteInMemoryConfig | PostgresSQLAlchemyConfig | BigQuerySQLAlchemyConfig,
    Field(discriminator="type"),
]
QueueConfig = Annotated[PythonQueueConfig | KafkaConfig | RabbitMQConfig, Field(discriminator="type")]


class EngineConfig(StrictModel):
    """``engine``: every part has a default that needs no server."""

    backend: BackendConfig = Field(
        default_factory=lambda: SQLiteSQLAlchemyConfig(type=BackendTypes.SQLITE),
        description="Where checkpoints are kept.",
    )
    queue: QueueConfig = Field(
        default_factory=lambda: PythonQueueConfig(type=QueueTypes.PYTHON_QUEUE),
        description="Where pages wait between producer and consumer.",
    )
    runner: RunnerConfig = Field(default_factory=RunnerConfig, description="Threads, processes or one loop.")

    @model_validator(mode="after")
    def _memory_is_not_shared_between_processes(self) -> "EngineConfig":
        if self.runner.type is RunnerTypes.PROCESS and self.backend.type is BackendTypes.SQLITE_IN_MEMORY:
            raise ValueError(
                "backend type 'sqlite_in_memory' cannot be shared by the two processes of runner type 'process'; "
                "use backend type 'sqlite' or 'postgres', or runner type 'thread'"
            )
        return self
