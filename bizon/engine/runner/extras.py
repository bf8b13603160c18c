"""Whether the optional packages that a pipeline needs are installed: asked before its job is opened."""

import sys
from collections.abc import Container, Iterator
from importlib.util import find_spec

from bizon.common.errors.errors import MissingDependencyError
from bizon.common.models import BizonConfig
from bizon.common.role import Role

MODULES = {
    "bigquery": ("google.cloud.bigquery", "google.cloud.bigquery_storage", "google.cloud.storage"),
    "kafka": ("confluent_kafka", "fastavro"),
    "postgres": ("psycopg",),
    "rabbitmq": ("pika",),
}
"""What bizon imports of an extra, for a queue the first. A backend says what it lacks: it is opened before the job."""


def check_extras(config: BizonConfig, halves: Container[Role]) -> None:
    """Raise MissingDependencyError, with the extra to install, when a part of the run lacks a package.

    Called by the runner before anything is opened; nothing is imported. ``halves``: what this process starts.
    """
    for extra, part, modules in _parts(config, halves):
        missing = next((module for module in modules if not _is_there(module)), None)
        if missing is not None:
            raise MissingDependencyError(extra, f"{part} (module {missing})")


def _parts(config: BizonConfig, halves: Container[Role]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The extra of each part, by its name, the part in words, and what it imports of the extra."""
    source, destination, queue = config.source.name, config.destination.name.value, config.engine.queue.type.value
    if Role.PRODUCER in halves and config.source.source_file_path is None:
        yield source, f"source '{source}'", MODULES.get(source, ())
    if Role.CONSUMER in halves:
        extra = destination.partition("_")[0]
        yield extra, f"destination '{destination}'", MODULES.get(extra, ())
    yield queue, f"engine.queue.type '{queue}'", MODULES.get(queue, ())[:1]


def _is_there(module: str) -> bool:
    """Whether it can be imported, by the place of its file; a package around it is imported to learn that."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
