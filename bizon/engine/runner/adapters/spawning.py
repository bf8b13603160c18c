"""The process runner's requirements on the process that calls it. Checked before anything is opened.

A pool may allow no children, a script may not be importable a second time, and a container may have no shared memory.
Unchecked, each ends in a hang or in an error of ``multiprocessing`` that names no remedy.
"""

import multiprocessing
import os
import sys
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

from bizon.engine.runner.prerequisites import refusal

CHILD_NAME = "bizon-"
"""Prefix of the names of the runner's own child processes."""

NO_GUARD = 97
"""Exit code of a child that found itself running its parent's script again."""

NO_GUARD_REASON = (
    "the script that runs the pipeline was run again by the process it started: put what it does below "
    "`if __name__ == '__main__':`, as every program that starts processes has to, or use engine.runner.type: thread"
)
_OTHER_RUNNER = "use engine.runner.type: thread"


def check_children() -> None:
    """Raise ConfigError when this process cannot start the two roles. Ends the process when it is a role itself, which
    a script without a guard has led here."""
    current = multiprocessing.current_process()
    if getattr(current, "_inheriting", False) and current.name.startswith(CHILD_NAME):
        os._exit(NO_GUARD)  # an error would print the child's traceback and give the parent no reason
    if current.daemon:
        raise refusal(
            f"runner process starts two processes, and '{current.name}' is daemonic, like the workers of "
            f"multiprocessing.Pool, and may not start any; {_OTHER_RUNNER}, or run the pipeline from "
            "concurrent.futures.ProcessPoolExecutor or from a process of its own"
        )
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not Path(file).is_file():
        raise refusal(
            f"runner process starts two processes that import the script again, and '{file}' is not a file, as when a "
            f"script is read from stdin; save it as a file, or {_OTHER_RUNNER}"
        )


def shared_memory(kind: str, length: int) -> Any:
    """Memory that a child process can share. Raises ConfigError where the system has none."""
    try:
        return RawArray(kind, length)
    except OSError as error:
        raise refusal(
            f"runner process needs shared memory, and there is none: {error.strerror or type(error).__name__}"
            f"{f' ({error.filename})' if error.filename else ''}; mount /dev/shm, or {_OTHER_RUNNER}"
        ) from None
