"""A run's requirement on its process: Polars threads that run.

Checked before anything is opened: a run in a forked worker would hang without a message.
"""

import os
from pathlib import Path
from threading import Thread

import polars

from bizon.common.errors.errors import ConfigError

_PROBE_TIMEOUT = 5.0  # seconds; the probe takes a millisecond
_TASKS = Path("/proc/self/task")


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
