"""What a runner needs of the process it is called in. Looked at before anything is opened; each lack has its reason.

A pipeline may be run by a worker that its host has forked, by a pool that allows no children, or by a script that
cannot be imported a second time. Left alone these end in a hang, or in an error of ``multiprocessing`` that names no
remedy.
"""

import multiprocessing
import os
import sys
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import polars

from bizon.common.errors.errors import ConfigError

CHILD_NAME = "bizon-"
"""What the names of the runner's own child processes begin with."""

NO_GUARD = 97
"""Exit code of a child that found itself running the script of its parent once more."""

NO_GUARD_REASON = (
    "the script that runs the pipeline was run again by the process it started: put what it does below "
    "`if __name__ == '__main__':`, as every program that starts processes has to, or use engine.runner.type: thread"
)
_OTHER_RUNNER = "use engine.runner.type: thread"
_PROBE_TIMEOUT = 5.0  # seconds; the probe takes a millisecond
_TASKS = Path("/proc/self/task")


def check_threads() -> None:
    """Raise ConfigError when Polars cannot work in this process: it was forked from one that had used Polars, whose
    threads a fork does not copy, and every call would wait for them."""
    polars.thread_pool_size()  # starts the threads, unless Polars believes that they are there
    if _has_polars_threads():
        return
    probe = Thread(target=lambda: polars.collect_all([polars.LazyFrame({"n": [1]})] * 2), name="probe", daemon=True)
    probe.start()
    probe.join(_PROBE_TIMEOUT)
    if probe.is_alive():
        _refuse(
            f"process {os.getpid()} was forked from one that had used Polars, whose threads do not live in it, so that "
            "the run would hang; use engine.runner.type: process, or let the host start its workers by spawn or "
            "forkserver instead of fork, or fork them before Polars is used"
        )


def check_children() -> None:
    """Raise ConfigError when this process cannot start the two halves. Ends the process when it is a half itself that
    was led here by a script without a guard."""
    current = multiprocessing.current_process()
    if getattr(current, "_inheriting", False) and current.name.startswith(CHILD_NAME):
        os._exit(NO_GUARD)  # an error would be shown as a traceback of the child, and no reason for the parent's
    if current.daemon:
        _refuse(
            f"runner process needs two processes of its own, and '{current.name}' is a daemonic one, as those of "
            f"multiprocessing.Pool, which may start none; {_OTHER_RUNNER}, or run the pipeline from "
            "concurrent.futures.ProcessPoolExecutor or from a process of its own"
        )
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not Path(file).is_file():
        _refuse(
            f"runner process starts two processes that import the script once more, and '{file}' is no file, as when a "
            f"script is read from stdin; save it as a file, or {_OTHER_RUNNER}"
        )


def shared_memory(kind: str, length: int) -> Any:
    """Memory that a child process can share. Raises ConfigError where the system has none."""
    try:
        return RawArray(kind, length)
    except OSError as error:
        _refuse(
            f"runner process needs shared memory, and there is none: {error.strerror or type(error).__name__}"
            f"{f' ({error.filename})' if error.filename else ''}; mount /dev/shm, or {_OTHER_RUNNER}"
        )


def _has_polars_threads() -> bool:
    try:
        return any(name.startswith("polars-") and name[7:].isdigit() for name in map(_name_of, _TASKS.iterdir()))
    except OSError:
        return False  # no Linux: the probe tells


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # it has ended
        return ""


def _refuse(text: str) -> NoReturn:
    raise ConfigError(f"engine.runner.type: {text}", key=("engine", "runner", "type"))
