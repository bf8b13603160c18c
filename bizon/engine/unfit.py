"""Pipelines that their runner cannot run. Asked before anything is opened."""

from typing import TYPE_CHECKING

from bizon.common.errors.errors import ConfigError
from bizon.engine.runner.config import RunnerTypes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig


def check_source_can_travel(config: "BizonConfig") -> None:
    """Raise ConfigError for a source that cannot be made in another process."""
    given = config.source.given_source
    if given is None or config.runner_type not in (RunnerTypes.PROCESS, RunnerTypes.RAY):
        return
    if not isinstance(given, type) or "<locals>" in given.__qualname__:
        raise ConfigError(
            f"runner type '{config.runner_type}' makes its source in another process: give a class of a module, or use "
            "runner type 'thread'",
            key=("engine", "runner", "type"),
        )


def check_several_can_fetch(config: "BizonConfig") -> None:
    """Raise ConfigError for a source that several producers cannot fetch at once."""
    key = ("engine", "runner", "config", "max_parallel_partitions")
    if config.engine.runner.config.max_parallel_partitions == 1:
        return
    if config.source.is_endless:
        raise ConfigError("sync_mode stream has no partitions: its source keeps one position; leave this at 1", key=key)
    if config.source.is_given_an_object:
        raise ConfigError("bizon makes a source for each partition: give a class instead of an object", key=key)


def check_roles_can_meet(config: "BizonConfig") -> None:
    """Raise ConfigError when the roles of a run could not reach each other."""
    queue, backend = config.engine.queue.type, config.engine.backend.type
    if config.source.is_endless:
        raise ConfigError("--role: sync_mode stream has no separate roles, source and destination share a loop")
    if not config.engine.queue.is_broker:
        raise ConfigError(
            f"--role: queue type '{queue}' lives inside a run; use a broker, for example rabbitmq",
            key=("engine", "queue", "type"),
        )
    if config.engine.backend.is_in_memory:
        raise ConfigError(
            f"--role: backend type '{backend}' is not shared; use postgres, or sqlite for both roles on one machine",
            key=("engine", "backend", "type"),
        )
