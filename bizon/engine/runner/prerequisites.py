"""A run's requirements on its process: optional packages, and Polars threads that run. Checked before anything is
opened: a run in a forked worker would hang without a message.
"""

import os
import sys
from collections.abc import Container, Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import polars

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.common.models import BizonConfig
from bizon.common.role import Role
from bizon.destination.config import DestinationTypes

_PROBE_TIMEOUT = 5.0  # seconds; the probe takes a millisecond
_TASKS = Path("/proc/self/task")
MODULES = {
    "bigquery": ("google.cloud.bigquery", "google.cloud.bigquery_storage", "google.cloud.storage"),
    "kafka": ("confluent_kafka", "fastavro"),
    "postgres": ("psycopg",),
    "rabbitmq": ("pika",),
}
"""The modules of an extra that bizon imports; a queue needs only the first one. A backend is opened before the job, so
it reports a missing package itself."""


def check_extras(config: BizonConfig, halves: Container[Role]) -> None:
    """Raise MissingDependencyError, with the extra to install, when a part of the run lacks a package.

    The runner calls it before anything is opened; nothing is imported. ``halves``: the halves this process starts.
    """
    for extra, part, modules in _parts(config, halves):
        missing = next((module for module in modules if not _is_there(module)), None)
        if missing is not None:
            raise MissingDependencyError(extra, f"{part} (module {missing})")


def _parts(config: BizonConfig, halves: Container[Role]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """For each part: the name of its extra, the part in words, and the modules it imports."""
    source, destination, queue = config.source.name, config.destination.name, config.engine.queue.type
    if Role.PRODUCER in halves and config.source.source_file_path is None:
        yield source, f"source '{source}'", MODULES.get(source, ())
    if Role.CONSUMER in halves and destination in list(DestinationTypes):
        extra = destination.partition("_")[0]
        yield extra, f"destination '{destination}'", MODULES.get(extra, ())
    yield queue, f"engine.queue.type '{queue}'", MODULES.get(queue, ())[:1]


def _is_there(module: str) -> bool:
    """Whether the module can be imported. Looks for its file; only the packages around it are imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check_threads() -> None:
    """Raise ConfigError when Polars cannot run in this process: it was forked from one that had used Polars, and a fork
    does not copy the threads that every call waits for."""
    polars.thread_pool_size()  # starts the threads, unless Polars believes that they exist
    if _has_polars_threads():
        return
    probe = Thread(target=lambda: polars.collect_all([polars.LazyFrame({"n": [1]})] * 2), name="probe", daemon=True)
    probe.start()
    probe.join(_PROBE_TIMEOUT)
    if probe.is_alive():
        raise refusal(
            f"process {os.getpid()} was forked from one that had used Polars; a fork does not copy the threads of "
            "Polars, so the run would hang; use engine.runner.type: process, or let the host start its workers by "
            "spawn or forkserver instead of fork, or fork them before Polars is used"
        )


def _has_polars_threads() -> bool:
    try:
        return any(name.startswith("polars-") and name[7:].isdigit() for name in map(_name_of, _TASKS.iterdir()))
    except OSError:
        return False  # not Linux: the probe decides


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # the thread has ended
        return ""


def refusal(reason: str) -> ConfigError:
    """The error for a process that cannot host the configured runner. ``reason`` includes the remedy."""
    return ConfigError(f"engine.runner.type: {reason}", key=("engine", "runner", "type"))
