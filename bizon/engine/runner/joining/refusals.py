"""Pipelines whose jobs cannot be divided among several commands. Asked before anything is opened."""

from contextlib import closing
from typing import TYPE_CHECKING

from bizon.common.errors.errors import ConfigError
from bizon.engine.runner.config import RunnerTypes
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.common.models import BizonConfig
    from bizon.destination.destination import AbstractDestination

_BACKENDS = ("postgres", "sqlite")


def check_can_join(config: "BizonConfig", destination_of: "Callable[[BizonConfig], AbstractDestination]") -> None:
    """Raise ConfigError with the reason, and with what to do."""
    engine, backend = config.engine, config.engine.backend.type
    is_on_ray = engine.runner.type is RunnerTypes.RAY
    what, alone = engine.runner.shared_by, engine.runner.alone
    if is_on_ray and backend != _BACKENDS[0]:
        raise ConfigError(
            f"{what}: the workers run on several hosts, which share no backend of type '{backend}'; use postgres",
            key=("engine", "backend", "type"),
        )
    _check_backend(what, backend)
    if is_on_ray and engine.queue.is_broker:
        raise ConfigError(
            f"{what}: each worker is a whole pipeline, and has its queue inside; use queue type 'python_queue'",
            key=("engine", "queue", "type"),
        )
    if not engine.takes_partitions:
        raise ConfigError(
            f"{what}: each command is a whole pipeline, which needs queue type 'python_queue' and runner type 'thread' "
            "or 'process'",
            key=("engine",),
        )
    if config.source.is_given_an_object:
        raise ConfigError(f"{what}: bizon makes a source for each part: give a class instead of an object")
    with closing(destination_of(config)) as destination:
        if destination.single_writer:
            raise ConfigError(
                f"{what}: destination '{config.destination.shown_name}' takes the rows of one process at a time: run "
                f"{alone} (`max_parallel_partitions` fetches several parts at once), or write to another destination",
                key=("destination", "name"),
            )


def check_takes_members(config: "BizonConfig", destination_of: "Callable[[BizonConfig], AbstractDestination]") -> None:
    """The same for sync mode ``stream``, whose commands are members of the stream."""
    source = config.source
    if not isinstance(source.given_source, type | None):
        raise ConfigError("--join: a member that joins again makes another source: give a class instead of an object")
    if not resolve_source_class(source).takes_members:
        raise ConfigError(
            f"--join: in sync_mode stream, source '{source.name}' has one reader: several commands would read the same "
            "records. Run without --join",
            key=("source", "sync_mode"),
        )
    _check_backend("--join", config.engine.backend.type)
    with closing(destination_of(config)) as destination:
        reason = destination.refuses_members()
    if reason is not None:
        raise ConfigError(
            f"--join: in sync_mode stream, destination '{config.destination.shown_name}' {reason}. Run without --join, "
            "or write to another destination",
            key=("destination", "name"),
        )


def _check_backend(what: str, backend: str) -> None:
    if backend not in _BACKENDS:
        raise ConfigError(
            f"{what}: backend type '{backend}' cannot keep the leases that commands share; use postgres, or sqlite for "
            "commands on one host",
            key=("engine", "backend", "type"),
        )
