"""The ``engine.runner`` block."""

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from bizon.config.strict import MOST_SECONDS, StrictModel


class RunnerTypes(StrEnum):
    """Value of ``engine.runner.type`` and of ``--runner``."""

    THREAD = "thread"
    PROCESS = "process"
    STREAM = "stream"
    RAY = "ray"


class LoggerLevel(StrEnum):
    """Value of ``engine.runner.log_level`` and of ``--log-level``."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class MicroBatchConfig(StrictModel):
    """``engine.runner.config.micro_batch``: in sync_mode stream, pages are written and committed together. The first
    bound that is reached triggers a write; so do a page without records and the end of the run."""

    max_records: int = Field(default=100_000, ge=1, description="Records; 1 = write each page at once.")
    max_size: int = Field(default=16, ge=1, description="MB of records.")
    max_seconds: float = Field(
        default=2,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds since the oldest page was fetched; checked after each page.",
    )


class RunnerFuturesConfig(StrictModel):
    """``engine.runner.config``: how the two workers are watched."""

    max_workers: int = Field(default=2, ge=2, description="Workers; a run needs two, producer and consumer.")
    max_parallel_partitions: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Producers that fetch the partitions of one stream at once, if its source plans any: threads of "
        "the thread runner, processes of the process runner. 1 = a stream is fetched as one chain of pages.",
    )
    consumer_start_delay: float = Field(
        default=0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds to wait before the consumer starts; a page wakes it anyway.",
    )
    is_alive_check_interval: float = Field(
        default=2,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds between two checks that the workers are alive; the end of a worker wakes the runner.",
    )
    lease_ttl: float = Field(
        default=60,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds after which a run that was killed on another host no longer blocks the next one.",
    )
    max_parallel_streams: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Streams of `streams` that run at the same time. They share the memory of one: each has a part of "
        "`buffer_size`.",
    )
    micro_batch: MicroBatchConfig = Field(
        default_factory=MicroBatchConfig, description="How much is written together in sync_mode stream."
    )


class RayConfig(StrictModel):
    """``engine.runner.ray``: the cluster, and what each worker takes of it."""

    address: str = Field(
        default="auto",
        min_length=1,
        description="HOST:PORT of the cluster, ray://HOST:PORT for a Ray client, auto = the cluster that this machine "
        "is part of, local = a cluster on this machine for this run.",
    )
    num_workers: int = Field(
        default=2, ge=1, le=1024, description="Tasks that take parts of the job; at most one for each part is started."
    )
    num_cpus: float = Field(default=1, ge=0, le=1024, description="Cores that Ray reserves for each worker.")
    memory: int | None = Field(
        default=None, ge=1, description="MB of memory that Ray reserves for each worker; unset = none is reserved."
    )
    resources: dict[str, float] = Field(
        default_factory=dict,
        description="Other resources that Ray reserves for each worker, by the names that the nodes were started with.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The resources that Ray reserves for a worker, in its words."""
        options: dict[str, Any] = {"num_cpus": self.num_cpus, "resources": dict(self.resources)}
        return options if self.memory is None else {**options, "memory": self.memory * 1024 * 1024}


class RunnerConfig(StrictModel):
    """``engine.runner``."""

    type: RunnerTypes = Field(
        default=RunnerTypes.THREAD, description="thread | process | stream | ray; sync_mode stream always uses stream."
    )
    ray: RayConfig = Field(default_factory=RayConfig, description="The cluster of runner type ray, and its workers.")
    config: RunnerFuturesConfig = Field(default_factory=RunnerFuturesConfig, description="How workers are watched.")
    log_level: LoggerLevel = Field(default=LoggerLevel.INFO, description="Least severe level that is shown.")

    @property
    def shared_by(self) -> str:
        """The key or the option that makes a run share its job, as its user wrote it, for messages."""
        return f"engine.runner.type '{self.type}'" if self.type is RunnerTypes.RAY else "--join"

    @property
    def alone(self) -> str:
        """How to run alone instead, for messages."""
        return "with engine.runner.type 'thread' or 'process'" if self.type is RunnerTypes.RAY else "without --join"

    @model_validator(mode="after")
    def _ray_has_its_own_number_of_workers(self) -> "RunnerConfig":
        if self.type is RunnerTypes.RAY and self.config.max_parallel_partitions > 1:
            raise ValueError(
                "a worker of runner type 'ray' takes one part at a time: set engine.runner.ray.num_workers, and leave "
                "max_parallel_partitions at 1"
            )
        if self.type is not RunnerTypes.RAY and self.ray != RayConfig():
            raise ValueError(f"runner type '{self.type}' has no cluster: leave `ray` out, or set type to 'ray'")
        return self
