"""The optional packages that a run needs. Checked before anything is opened."""

import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bizon.common.errors.errors import MissingDependencyError

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.models import Role

MODULES = {
    "azure": ("obstore",),
    "bigquery": ("google.cloud.bigquery", "google.cloud.bigquery_storage", "google.cloud.storage"),
    "duckdb": ("duckdb",),
    "gcs": ("obstore",),
    "kafka": ("confluent_kafka", "fastavro"),
    "mysql": ("pymysql",),
    "postgres": ("psycopg",),
    "rabbitmq": ("pika",),
    "ray": ("ray",),
    "s3": ("obstore",),
}
"""The modules of an extra that bizon imports; a queue needs only the first one. A backend is opened before the job, so
it reports a missing package itself."""


def check_extras(config: "BizonConfig", roles: Iterable["Role"]) -> None:
    """Raise MissingDependencyError, with the extra to install, when a part of the run lacks a package.

    The runner calls it before anything is opened; nothing is imported. ``roles``: the roles that this process starts.
    """
    for extra, part, modules in _parts(config, roles):
        missing = next((module for module in modules if not _is_there(module)), None)
        if missing is not None:
            raise MissingDependencyError(extra, f"{part} (module {missing})")


def _parts(config: "BizonConfig", roles: Iterable["Role"]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """For each part: the name of its extra, the part in words, and the modules it imports."""
    source, destination, queue = config.source.name, config.destination.name, config.engine.queue.type
    if any(role.fetches for role in roles) and config.source.source_file_path is None:
        extra = config.source.extra or source
        yield extra, f"source '{source}'", MODULES.get(extra, ())
    if not all(role.fetches for role in roles) and config.destination.is_built_in:
        extra = destination.partition("_")[0]
        yield extra, f"destination '{destination}'", MODULES.get(extra, ())
    yield queue, f"engine.queue.type '{queue}'", MODULES.get(queue, ())[:1]
    runner = config.runner_type
    yield runner, f"engine.runner.type '{runner}'", MODULES.get(runner, ())


def _is_there(module: str) -> bool:
    """Whether the module can be imported. Looks for its file; only the packages around it are imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
