"""The ``engine`` block: state, queue and runner."""

from typing import Annotated

from pydantic import Field, model_validator

from bizon.config.selected import Selected
from bizon.config.strict import StrictModel
from bizon.engine.backend.config import AbstractBackendConfig, BackendTypes
from bizon.engine.queue.config import AbstractQueueConfig, QueueTypes
from bizon.engine.runner.config import RunnerConfig, RunnerTypes

_SQL = "bizon.engine.backend.adapters.sqlalchemy"
_QUEUES = "bizon.engine.queue.adapters"

BackendConfig = Annotated[
    AbstractBackendConfig,
    Selected(
        "type",
        {
            BackendTypes.SQLITE: f"{_SQL}.config.SQLiteSQLAlchemyConfig",
            BackendTypes.SQLITE_IN_MEMORY: f"{_SQL}.config.SQLiteInMemoryConfig",
            BackendTypes.POSTGRES: f"{_SQL}.config.PostgresSQLAlchemyConfig",
            BackendTypes.BIGQUERY: f"{_SQL}.config.BigQuerySQLAlchemyConfig",
        },
    ),
]
QueueConfig = Annotated[
    AbstractQueueConfig,
    Selected(
        "type",
        {
            QueueTypes.PYTHON_QUEUE: f"{_QUEUES}.python_queue.config.PythonQueueConfig",
            QueueTypes.KAFKA: f"{_QUEUES}.kafka.config.KafkaConfig",
            QueueTypes.RABBITMQ: f"{_QUEUES}.rabbitmq.config.RabbitMQConfig",
        },
    ),
]


class EngineConfig(StrictModel):
    """``engine``: every part has a default that needs no server."""

    backend: BackendConfig = Field(
        default={"type": BackendTypes.SQLITE}, validate_default=True, description="Where checkpoints are kept."
    )
    queue: QueueConfig = Field(
        default={"type": QueueTypes.PYTHON_QUEUE},
        validate_default=True,
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

    @model_validator(mode="after")
    def _partitions_need_producers_in_the_run(self) -> "EngineConfig":
        if self.runner.config.max_parallel_partitions > 1 and not self.takes_partitions:
            raise ValueError(
                "max_parallel_partitions needs runner type 'thread' or 'process', and queue type 'python_queue'; set "
                "these, or leave max_parallel_partitions at 1"
            )
        return self

    @property
    def takes_partitions(self) -> bool:
        """Whether several producers can fetch for one consumer."""
        return self.runner.type is not RunnerTypes.STREAM and not self.queue.is_broker
