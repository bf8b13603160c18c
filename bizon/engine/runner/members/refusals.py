"""Streams that cannot have members. Asked before anything is opened."""

from contextlib import closing
from typing import TYPE_CHECKING

from bizon.common.errors.errors import ConfigError
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.common.models import BizonConfig
    from bizon.destination.destination import AbstractDestination

_BACKENDS = ("postgres", "sqlite")


def check_takes_members(config: "BizonConfig", destination_of: "Callable[[BizonConfig], AbstractDestination]") -> None:
    """Raise ConfigError with the reason, and with what to do."""
    backend, source = config.engine.backend.type, config.source
    if not isinstance(source.given_source, type | None):
        raise ConfigError("--join: a member that joins again makes another source: give a class instead of an object")
    if not resolve_source_class(source).takes_members:
        raise ConfigError(
            f"--join: in sync_mode stream, source '{source.name}' has one reader: several commands would read the same "
            "records. Run without --join",
            key=("source", "sync_mode"),
        )
    if backend not in _BACKENDS:
        raise ConfigError(
            f"--join: backend type '{backend}' cannot keep what the members of a stream share; use postgres, or sqlite "
            "for commands on one host",
            key=("engine", "backend", "type"),
        )
    with closing(destination_of(config)) as destination:
        reason = destination.refuses_members()
    if reason is not None:
        raise ConfigError(
            f"--join: in sync_mode stream, destination '{config.destination.shown_name}' {reason}. Run without --join, "
            "or write to another destination",
            key=("destination", "name"),
        )
