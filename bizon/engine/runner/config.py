"""The ``engine.runner`` block."""

from enum import StrEnum

from pydantic import Field

from bizon.config.strict import MOST_SECONDS, StrictModel


class RunnerTypes(StrEnum):
    """Value of ``engine.runner.type`` and of ``--runner``."""

    THREAD = "thread"
    PROCESS = "process"
    STREAM = "stream"


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


class RunnerConfig(StrictModel):
    """``engine.runner``."""

    type: RunnerTypes = Field(
        default=RunnerTypes.THREAD, description="thread | process | stream; sync_mode stream always uses stream."
    )
    config: RunnerFuturesConfig = Field(default_factory=RunnerFuturesConfig, description="How workers are watched.")
    log_level: LoggerLevel = Field(default=LoggerLevel.INFO, description="Least severe level that is shown.")
