"""Kills or freezes the run at a named point, switches a guard off, or writes down what is done on the disk. Python
imports this at its start, in the command and in the children it spawns, when the folder is on PYTHONPATH; without one
of these settings it does nothing.

CRASH_AT names a point, see ``points.py``; CRASH_GROUP is the process group that it is about, or ``own`` for the one
that the command leads. GUARD_OFF switches a guard off, see ``guards.py``. DISK_LOG is a file that gets what is done on
the disk, see ``disk_log.py``.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any


class Patcher(MetaPathFinder):
    """Patches modules of bizon right after they are loaded."""

    def __init__(self) -> None:
        self.patches: defaultdict[str, list[Callable[[ModuleType], None]]] = defaultdict(list)

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        spec = PathFinder.find_spec(name, path) if name in self.patches else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            for patch in self.patches[name]:
                patch(module)

        spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


def patcher() -> Patcher:
    """The patches that the settings ask for. A guard is switched off first: points and the log see the rest."""
    found = Patcher()
    if name := os.environ.get("GUARD_OFF"):
        from guards import guards

        if name not in guards():
            raise SystemExit(f"GUARD_OFF: there is no guard '{name}'")
        found.patches[guards()[name].module].append(guards()[name].apply)
    if os.environ.get("DISK_LOG"):
        from disk_log import log_disk

        found.patches["bizon.engine.backend.adapters.sqlalchemy.backend"].append(log_disk)
    if os.environ.get("CRASH_AT"):
        from points import PATCHES, patch_os

        patch_os()
        for module, patch in PATCHES.items():
            found.patches[f"bizon.{module}"].append(patch)
    return found


if os.environ.get("CRASH_GROUP") == "own":  # this is the command; its children inherit the id of its group
    os.environ["CRASH_GROUP"] = str(os.getpid())
if any(os.environ.get(name) for name in ("CRASH_AT", "GUARD_OFF", "DISK_LOG")):
    needed = patcher()
    if not sys.modules.keys().isdisjoint(needed.patches):  # the others already hold what it would replace
        for name in [name for name in sys.modules if name.partition(".")[0] == "bizon"]:
            del sys.modules[name]
    sys.meta_path.insert(0, needed)
